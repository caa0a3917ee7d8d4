typedef int qk_num_placeholder; /* replaced by the first source of this layer */
