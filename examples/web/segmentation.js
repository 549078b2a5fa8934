// What the page shows of a net that says of which class every pixel is.
import {rectangle, shown} from './pixels.js';

export const title = 'Image segmentation';
export const paints = true;
const UNSEEN = 255;
const MOST = 20; // names in the legend

/** How strong the colours are, in percent. */
export const slider = () => ({label: 'Colour', min: 0, value: 55});

/** Name of the output in golden.json. */
export const output = ({form}) => form || 'logits';

/**
 * The class of every pixel that the net sees.
 * @param {ArrayLike<number>} values the file's output: classes, or a score of every class for every pixel.
 * @param {object} model what model.json holds.
 * @returns {Uint8Array} row by row.
 */
export function answer(values, {form, input, colours}) {
  const size = input.height * input.width;
  const count = form === 'classes' ? 1 : colours.length;
  if (values.length !== size * count) {
    throw new Error(`the file gives ${values.length} numbers, and ${input.height} x ${input.width} pixels need ${size * count}`);
  }
  if (form === 'classes') return Uint8Array.from(values);
  if (count === 1) return Uint8Array.from(values, (probability) => Number(probability > 0.5));
  const classes = new Uint8Array(size);
  for (let n = 0; n < size; n++) {
    let best = 0;
    for (let c = 1; c < count; c++) if (values[n * count + c] > values[n * count + best]) best = c;
    classes[n] = best;
  }
  return classes;
}

/** How far answers are from those of the exporter: the largest difference, of classes the share of those that differ. */
export function apart(values, expected, {form}) {
  let [different, most] = [0, 0];
  for (let n = 0; n < expected.length; n++) {
    const distance = Math.abs(values[n] - expected[n]);
    different += Number(distance > 0);
    most = Math.max(most, distance);
  }
  return form === 'classes' ? different / expected.length : most;
}

/** The legend: classes with their share of the pixels, the largest first. */
export function rows(classes, model) {
  const counts = new Map();
  for (const each of classes) counts.set(each, (counts.get(each) ?? 0) + 1);
  const found = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, MOST);
  return found.map(([index, count]) => ({index, share: count / classes.length, colour: model.colours[index]}));
}

/**
 * A mask in the picture's own pixels: each has the class of the nearest pixel of the net, 255 where the net saw nothing.
 * @param {Uint8Array} classes of the net's pixels.
 * @param {{height: number, width: number}} picture
 * @param {object} input of model.json.
 */
export function mapped(classes, picture, input) {
  const {top, left, high, wide} = rectangle(picture, input);
  const places = (count, first, from, to) => Int32Array.from({length: count}, (_, n) => {
    const place = Math.floor(((n + 0.5 - first) * to) / from);
    return place < to ? place : -1;
  });
  const columns = places(picture.width, left, wide, input.width);
  const lines = places(picture.height, top, high, input.height);
  const found = new Uint8Array(picture.height * picture.width).fill(UNSEEN);
  lines.forEach((line, y) => {
    if (line < 0) return;
    columns.forEach((column, x) => {
      if (column >= 0) found[y * picture.width + x] = classes[line * input.width + column];
    });
  });
  return found;
}

/** The picture with its mask over it; without one of its own, what the net sees. */
export function drawn({pixels, picture, answer: classes}, model, strength) {
  const mask = picture ? mapped(classes, picture, model.input) : classes;
  const base = picture ?? shown(pixels, model.input);
  const image = new ImageData(new Uint8ClampedArray(base.data), base.width, base.height);
  let unseen = false;
  mask.forEach((each, n) => {
    const colour = model.colours[each];
    if (!colour) unseen = true;
    else for (let c = 0; c < 3; c++) image.data[4 * n + c] += strength * (colour[c] - image.data[4 * n + c]);
  });
  return {image, mask, note: unseen ? 'The net does not see the part without colour.' : ''};
}
