typedef int qk_run_placeholder; /* replaced by the first source of this layer */
