// Sizes of a drawn step in pixels: the layout's thread and the drawing must agree on them.
export const NODE_WIDTH = 232;
export const NODE_HEIGHT = 52;
