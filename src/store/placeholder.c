typedef int qk_store_placeholder; /* replaced by the first source of this layer */
