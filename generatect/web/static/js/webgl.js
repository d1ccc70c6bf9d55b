// Whether NiiVue can draw here, and its script, loaded once and only then.
let loading = null;

export function hasWebGL() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
}

export function loadNiivue() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/niivue-0.69.0.umd.js";
    script.onload = () => resolve(globalThis.niivue);
    script.onerror = () => reject(new Error("NiiVue could not be loaded."));
    document.head.append(script);
  });
  return loading;
}
