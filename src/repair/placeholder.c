/* Holds the place of the layer's sources. */
extern const char qk_repair_placeholder;
const char qk_repair_placeholder = 0;
