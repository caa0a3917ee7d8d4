typedef int qk_model_placeholder; /* replaced by the first source of this layer */
