typedef int qk_plot_placeholder; /* replaced by the first source of this layer */
