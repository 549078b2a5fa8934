// From an image to what the net takes, exactly as keras_resnet does it in Python.

/** Bytes behind base64 text. */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const GREY = 127; // beyond a picture

/**
 * Which rectangle of a picture fills the net's input; it may reach beyond the picture.
 * @param {{height: number, width: number}} picture
 * @param {{height: number, width: number, crop: number, fit: string}} input of model.json.
 * @returns {{top: number, left: number, high: number, wide: number}}
 */
export function rectangle({height: high, width: wide}, {height, width, crop, fit}) {
  if (fit === 'stretch') return {top: 0, left: 0, high, wide};
  if (fit === 'own') { // pixels as large as they are
    return {top: Math.floor((high - height) / 2), left: Math.floor((wide - width) / 2), high: height, wide: width};
  }
  const [down, across] = [(wide * height) / width, (high * width) / height];
  if (fit === 'pad') { // at the bottom and at the right
    return {top: 0, left: 0, high: Math.max(high, Math.ceil(down)), wide: Math.max(wide, Math.ceil(across))};
  }
  if (fit !== 'crop') throw new Error(`model.json has fit ${fit}, which this page does not know`);
  const share = (n) => Math.max(1, halfToEven(Math.fround(n * Math.fround(crop))));
  const [partHeight, partWidth] = [share(Math.min(high, Math.floor(down))), share(Math.min(wide, Math.floor(across)))];
  return {top: Math.floor((high - partHeight) / 2), left: Math.floor((wide - partWidth) / 2), high: partHeight, wide: partWidth};
}

/**
 * A picture as the net sees it: its rectangle, resized bilinearly, with antialiasing when it shrinks.
 * @param {ImageData} image RGBA.
 * @param {{height: number, width: number, crop: number, fit: string}} input of model.json.
 * @returns {Uint8Array} RGB, row by row.
 */
export function framed(image, input) {
  const {height, width} = input;
  const {top, left, high, wide} = rectangle(image, input);
  const columns = weights(wide, width);
  const rows = weights(high, height);
  const narrow = new Float32Array(high * width * 3).fill(GREY);
  for (let y = 0; y < high; y++) {
    if (top + y < 0 || top + y >= image.height) continue;
    for (let x = 0; x < width; x++) {
      const {first, factors} = columns[x];
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let i = 0; i < factors.length; i++) {
          const column = left + first + i;
          const inside = column >= 0 && column < image.width;
          sum += factors[i] * (inside ? image.data[4 * ((top + y) * image.width + column) + c] : GREY);
        }
        narrow[(y * width + x) * 3 + c] = sum;
      }
    }
  }
  const result = new Uint8Array(height * width * 3);
  for (let y = 0; y < height; y++) {
    const {first, factors} = rows[y];
    for (let i = 0; i < width * 3; i++) {
      let sum = 0;
      for (let k = 0; k < factors.length; k++) sum += factors[k] * narrow[(first + k) * width * 3 + i];
      result[y * width * 3 + i] = Math.min(255, Math.max(0, Math.round(sum)));
    }
  }
  return result;
}

/** Python's and TensorFlow's rounding; Math.round(4.5) is 5. */
function halfToEven(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** Which source pixels make a target pixel, and with which factors: a triangle around its centre. */
function weights(from, to) {
  const scale = from / to;
  const radius = Math.max(1, scale);
  return Array.from({length: to}, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.ceil(centre - radius - 0.5));
    const last = Math.min(from - 1, Math.floor(centre + radius - 0.5));
    const factors = [];
    for (let i = first; i <= last; i++) factors.push(Math.max(0, 1 - Math.abs(i + 0.5 - centre) / radius));
    const sum = factors.reduce((a, b) => a + b, 0) || 1;
    return {first, factors: factors.map((factor) => factor / sum)};
  });
}

/**
 * Pixels as the input tensor has them: `(pixel - mean) / std`, in the order of channels that the weights know.
 * @param {Uint8Array} pixels RGB.
 * @param {{mean: number[], std: number[], channels: string}} input of model.json.
 */
export function normalized(pixels, {mean, std, channels}) {
  const order = channels === 'bgr' ? [2, 1, 0] : [0, 1, 2];
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i += 3) {
    for (let c = 0; c < 3; c++) values[i + c] = (pixels[i + order[c]] - mean[c]) / std[c];
  }
  return values;
}

/** RGB as RGBA, to be shown. */
export function shown(pixels, {height, width}) {
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    image.data.set([pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], 255], 4 * i);
  }
  return image;
}
