typedef int qk_analyses_placeholder; /* replaced by the first source of this layer */
