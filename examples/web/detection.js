// What the page shows of a net that says where objects are: their boxes over the picture, in the picture's own pixels.
import {rectangle, shown} from './pixels.js';

export const title = 'Object detection';
export const paints = true;
const MOST = 20; // names in the list
const EQUAL = 1e-7; // a score that float32 has a little below the threshold is at it
const SMALL = 640; // pictures are drawn at least that wide, for the sake of the names' letters

/** Objects with lower scores are hidden; the page's slider moves it. In percent. */
export const slider = ({floor, threshold}) => ({label: 'Score from', min: 100 * floor, value: 100 * threshold, chooses: true});

/** Intersection over union of two boxes x1, y1, x2, y2; 0 where neither has an area. */
export function overlap(a, b) {
  const shared = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared;
  return union > 0 ? shared / union : 0;
}

/**
 * The objects, from the highest score: of boxes of a class that overlap the best one stays.
 * @param {{boxes: Float32Array, scores: Float32Array}} values the file's outputs, a box of four sides and a score of every class.
 * @param {object} model what model.json holds.
 * @returns {{index: number, score: number, box: number[]}[]} boxes x1, y1, x2, y2 in 0..1 of the net's input.
 */
export function answer({boxes, scores}, {form, floor, overlap: limit, candidates, most, colours}) {
  const classes = colours.length;
  if (form !== 'decoded') throw new Error(`this page takes files of the form decoded, and model.json has ${form || 'raw'}`);
  if (boxes.length * classes !== scores.length * 4) {
    throw new Error(`the file gives ${boxes.length / 4} boxes, and ${scores.length} scores of ${classes} classes`);
  }
  const places = [];
  scores.forEach((score, place) => { if (score > floor) places.push(place); });
  places.sort((a, b) => scores[b] - scores[a]); // stable: of equal scores the first one is the higher
  const kept = Array.from({length: classes}, () => []);
  const found = [];
  for (const place of places.slice(0, candidates)) {
    const [row, index] = [Math.floor(place / classes), place % classes];
    const box = Array.from(boxes.subarray(4 * row, 4 * row + 4));
    if (kept[index].some((other) => overlap(other, box) > limit)) continue;
    kept[index].push(box);
    found.push({index, score: scores[place], box});
    if (found.length === most) break;
  }
  return found;
}

/** How far an output is from the exporter's: the largest difference. */
export function apart(values, expected) {
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
}

/** Objects that are shown. */
export const chosen = (objects, threshold) => objects.filter(({score}) => score > threshold - EQUAL);

/** The list of objects, the surest first. */
export function rows(objects, model, threshold) {
  return chosen(objects, threshold).slice(0, MOST).map(({index, score}) => ({index, share: score, colour: model.colours[index]}));
}

/**
 * Objects in the picture's own pixels; what lies beyond it is cut off.
 * @param {{index: number, score: number, box: number[]}[]} objects
 * @param {{height: number, width: number}} picture
 * @param {object} input of model.json.
 */
export function mapped(objects, picture, input) {
  const {top, left, high, wide} = rectangle(picture, input);
  const within = (value, most) => Math.min(most, Math.max(0, value));
  return objects.map((each) => ({
    ...each,
    box: each.box.map((side, n) => (n % 2 ? within(top + high * side, picture.height) : within(left + wide * side, picture.width))),
  }));
}

/** The picture with boxes, names and scores; without one of its own, what the net sees. */
export function drawn({pixels, picture, answer: objects}, model, threshold, labels) {
  const image = picture ?? shown(pixels, model.input);
  const input = picture ? model.input : {...model.input, fit: 'stretch'};
  const found = mapped(chosen(objects, threshold), image, input);
  const {top, left, high, wide} = rectangle(image, input);
  const hides = top > 0 || left > 0 || top + high < image.height || left + wide < image.width;
  const notes = [];
  if (!found.length) notes.push(`No object with a score of ${(100 * threshold).toFixed(0)} % or more.`);
  if (found.length > MOST) notes.push(`${found.length} objects, ${MOST} of them in the list.`);
  if (hides) notes.push('The net does not see what is outside the dashed line.');
  return {
    image,
    objects: found,
    scale: Math.max(1, Math.ceil(SMALL / image.width)),
    over: (context, unit) => {
      if (hides) dashed(context, [left, top, wide, high], unit);
      for (const each of [...found].reverse()) outlined(context, each, model.colours[each.index], unit);
      for (const each of [...found].reverse()) named(context, each, labels[each.index] ?? String(each.index), model.colours[each.index], unit);
    },
    note: notes.join(' '),
  };
}

const css = (colour) => `rgb(${colour.map(Number).join(' ')})`;

/** What the net sees of a picture. */
function dashed(context, sides, {pixel, line}) {
  context.setLineDash([4 * line, 3 * line]);
  for (const [style, offset] of [['black', 0], ['white', 3.5 * line]]) {
    [context.strokeStyle, context.lineWidth, context.lineDashOffset] = [style, line / 2, offset];
    context.strokeRect(...sides.map((side) => side * pixel));
  }
  context.setLineDash([]);
}

/** A box, inside its own sides; a dark line around it is seen on any picture. */
function outlined(context, {box}, colour, {pixel, line}) {
  const [left, top, right, bottom] = box.map((side) => side * pixel);
  for (const [style, width] of [['rgb(0 0 0 / 60%)', 1.6 * line], [css(colour), line]]) {
    [context.strokeStyle, context.lineWidth] = [style, width];
    context.strokeRect(left + line / 2, top + line / 2, Math.max(0, right - left - line), Math.max(0, bottom - top - line));
  }
}

/** Name and score over the box, or in it where the picture ends. */
function named(context, {box, score}, name, colour, {pixel, letters}) {
  const words = `${name.length > 24 ? `${name.slice(0, 23)}…` : name} ${score.toFixed(2)}`;
  context.font = `600 ${letters}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  const [width, height] = [context.measureText(words).width + 0.6 * letters, 1.3 * letters];
  const left = Math.max(0, Math.min(box[0] * pixel, context.canvas.width - width));
  const top = box[1] * pixel >= height ? box[1] * pixel - height : box[1] * pixel;
  context.fillStyle = css(colour);
  context.fillRect(left, top, width, height);
  const [red, green, blue] = colour;
  context.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? 'black' : 'white';
  context.fillText(words, left + 0.3 * letters, top + height / 2);
}
