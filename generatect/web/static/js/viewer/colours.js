// HU to pixels: grey in a window, or blue (less) over black to orange (more) for differences.
const STEPS = 1024;
const STOPS = [
  [159, 212, 255],
  [31, 111, 208],
  [0, 0, 0],
  [208, 84, 31],
  [255, 211, 159],
];

function packed(red, green, blue) {
  return (255 << 24) | (blue << 16) | (green << 8) | red; // bytes lie as red, green, blue, opacity
}

const GREY = Uint32Array.from({ length: STEPS }, (_, step) => {
  const level = Math.round((255 * step) / (STEPS - 1));
  return packed(level, level, level);
});

const CHANGE = Uint32Array.from({ length: STEPS }, (_, step) => {
  const place = (step / (STEPS - 1)) * (STOPS.length - 1);
  const first = Math.min(Math.floor(place), STOPS.length - 2);
  const [low, high, share] = [STOPS[first], STOPS[first + 1], place - first];
  return packed(...low.map((value, channel) => Math.round(value + share * (high[channel] - value))));
});

export const TABLES = { grey: GREY, change: CHANGE };

export function paint(hu, window, table, image) {
  const pixels = new Uint32Array(image.data.buffer);
  const low = window.level - window.width / 2;
  const factor = (STEPS - 1) / window.width;
  for (let place = 0; place < hu.length; place += 1) {
    const step = (hu[place] - low) * factor;
    pixels[place] = table[step <= 0 ? 0 : step >= STEPS - 1 ? STEPS - 1 : step | 0];
  }
  return image;
}
