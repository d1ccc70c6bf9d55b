// How NiiVue is set up here.

// What the rendering shows, by HU from -1000 to 800: the shells of skin and lung a veil, tissue a haze, bone solid.
export const SURFACES = {
  R: [0, 90, 120, 150, 200, 214, 226, 244, 255],
  G: [0, 160, 170, 140, 140, 130, 150, 232, 250],
  B: [0, 200, 205, 140, 120, 110, 120, 208, 235],
  A: [0, 0, 9, 2, 1, 2, 18, 90, 240],
  I: [0, 40, 70, 98, 128, 158, 172, 192, 255],
};
export const RENDERED_HU = [-1000, 800];
export const RENDER_FROM = [195, 10];

export function settings({ DRAG_MODE }) {
  return {
    logLevel: "error",
    backColor: [0, 0, 0, 1],
    isRadiologicalConvention: true,
    sagittalNoseLeft: true,
    dragAndDropEnabled: false,
    dragMode: DRAG_MODE.windowing,
    crosshairWidth: 0, // drawn here, so that it is as fine in every volume
    isOrientationTextVisible: false,
    loadingText: "",
    clipPlaneHotKey: "",
    cycleClipPlaneHotKey: "",
    viewModeHotKey: "",
    isAntiAlias: false,
  };
}
