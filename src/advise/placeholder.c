/* Holds the place of the layer's sources. */
extern const char qk_advise_placeholder;
const char qk_advise_placeholder = 0;
