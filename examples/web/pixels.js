// From an image to what the net takes, exactly as keras_resnet does it in Python.

/** Bytes behind base64 text. */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * The central part of an image, resized: bilinear, with antialiasing when it shrinks.
 * @param {ImageData} image RGBA.
 * @param {{height: number, width: number, crop: number}} input of model.json.
 * @returns {Uint8Array} RGB, row by row.
 */
export function central(image, {height, width, crop}) {
  const share = (n) => Math.max(1, halfToEven(n * crop));
  const partHeight = share(Math.min(image.height, Math.floor((image.width * height) / width)));
  const partWidth = share(Math.min(image.width, Math.floor((image.height * width) / height)));
  const top = Math.floor((image.height - partHeight) / 2);
  const left = Math.floor((image.width - partWidth) / 2);
  const columns = weights(partWidth, width);
  const rows = weights(partHeight, height);
  const narrow = new Float32Array(partHeight * width * 3);
  for (let y = 0; y < partHeight; y++) {
    for (let x = 0; x < width; x++) {
      const {first, factors} = columns[x];
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        factors.forEach((factor, i) => { sum += factor * image.data[4 * ((top + y) * image.width + left + first + i) + c]; });
        narrow[(y * width + x) * 3 + c] = sum;
      }
    }
  }
  const result = new Uint8Array(height * width * 3);
  for (let y = 0; y < height; y++) {
    const {first, factors} = rows[y];
    for (let i = 0; i < width * 3; i++) {
      let sum = 0;
      factors.forEach((factor, k) => { sum += factor * narrow[(first + k) * width * 3 + i]; });
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
