typedef int qk_ckpt_placeholder; /* replaced by the first source of this layer */
