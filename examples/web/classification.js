// What the page shows of a net that says which of its classes an image is of.
import {shown} from './pixels.js';

export const title = 'Image classifier';
const BEST = 5;

/** Name of the output in golden.json. */
export const output = () => 'probabilities';

/** Probabilities of the classes. */
export const answer = (values) => Float32Array.from(values);

/** How far answers are from those of the exporter: the largest difference. */
export function apart(values, expected) {
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
}

/** The best classes, best first: {index, share}. */
export function rows(probabilities) {
  const best = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, BEST);
  return best.map((index) => ({index, share: probabilities[index]}));
}

/** What the net sees. */
export const drawn = ({pixels}, model) => ({image: shown(pixels, model.input), note: ''});
