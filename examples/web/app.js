import {Camera} from './camera.js';
import {NAMES, open} from './engines.js';
import {bytes, framed, normalized, shown} from './pixels.js';

const VIEWS = {
  classification: () => import('./classification.js'),
  segmentation: () => import('./segmentation.js'),
  detection: () => import('./detection.js'),
};
const [LINE, LETTERS] = [2, 13]; // of what is drawn over a picture, in pixels of the page
const $ = (id) => document.getElementById(id);
const camera = new Camera();
let model, labels, golden, content, run, view, last;

async function fetched(name, kind) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} is missing (${answer.status}): put the exported folder's files beside this page`);
  return answer[kind]();
}

function say(text, bad = false) {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
}

/** The output, or outputs by name, for RGB pixels of the net's size. */
async function ask(pixels) {
  const start = performance.now();
  const values = await run(normalized(pixels, model.input));
  return {values, milliseconds: performance.now() - start};
}

/** Shows the answer for what the net sees of a picture; a test image is no more than that. Of a camera there is a rate. */
async function show(pixels, picture, rate) {
  if (!run) return;
  const {values, milliseconds} = await ask(pixels);
  last = {pixels, picture, answer: view.answer(values, model)};
  $('time').textContent = `${milliseconds.toFixed(1)} ms${rate ? `, ${rate.toFixed(1)} frames a second` : ''}`;
  $('result').hidden = false;
  list();
  paint();
}

/** Where the slider is, 0 to 1. */
const share = () => $('strength').value / 100;

/** The answer in words, and where the slider is that chooses them. */
function list() {
  const slider = view.slider?.(model);
  if (slider) $('moves').textContent = slider.chooses ? `${slider.label} ${(100 * share()).toFixed(0)} %` : slider.label;
  $('top').replaceChildren(...view.rows(last.answer, model, share()).map(line));
}

/** A class with its share. */
function line({index, share, colour}) {
  const item = document.createElement('li');
  const words = `${(100 * share).toFixed(1)} %`;
  item.innerHTML = '<span class="name"></span><span class="track"><span class="bar"></span></span><span class="share"></span>';
  item.querySelector('.name').textContent = labels[index] ?? String(index);
  item.querySelector('.share').textContent = words;
  item.querySelector('.bar').style.width = words.replace(' ', '');
  if (colour) {
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    item.querySelector('.name').prepend(swatch);
    for (const each of [swatch, item.querySelector('.bar')]) each.style.background = `rgb(${colour.map(Number).join(' ')})`;
  }
  return item;
}

/** The picture of the answer. */
function paint() {
  const {image, mask, objects, note, over, scale = 1} = view.drawn(last, model, share(), labels);
  const [canvas, context] = [$('seen'), $('seen').getContext('2d')];
  [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
  canvas.style.imageRendering = canvas.width > 400 ? 'auto' : 'pixelated'; // larger than the page shows it
  if (scale === 1) context.putImageData(image, 0, 0);
  else enlarged(context, image);
  const unit = canvas.width / (canvas.clientWidth || canvas.width);
  over?.(context, {pixel: scale, line: LINE * unit, letters: LETTERS * unit});
  $('note').textContent = note;
  [self.mask, self.objects] = [mask, objects]; // in the picture's own pixels
}

/** A picture whose pixels are seen. */
function enlarged(context, image) {
  const own = new OffscreenCanvas(image.width, image.height);
  own.getContext('2d').putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(own, 0, 0, context.canvas.width, context.canvas.height);
}

function draw(canvas, pixels) {
  [canvas.width, canvas.height] = [model.input.width, model.input.height];
  canvas.getContext('2d').putImageData(shown(pixels, model.input), 0, 0);
}

/** Turns the camera on, or off where it is on; what it sees is shown until then. */
async function live() {
  if (camera.isOn) return off();
  $('file').value = '';
  say('');
  try {
    await camera.start((frame, rate) => show(framed(frame, model.input), frame, rate));
  } catch (error) {
    return say(`No camera: ${error.message}`, true);
  }
  if (!camera.isOn) return;
  $('camera').textContent = 'Stop the camera';
  $('top').ariaLive = 'off'; // or a screen reader would read every frame
  camera.ended().catch((error) => say(`The camera was stopped: ${error.message}`, true)).finally(off);
}

/** Turns the camera off, and waits for the frame that the net is at. */
async function off() {
  await camera.stop();
  $('camera').textContent = 'Use the camera';
  $('top').ariaLive = 'polite';
}

async function showFile(file) {
  if (!file) return;
  await off();
  if (!run) return say('The model is still loading.', true);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return say(`${file.name || 'That'} is no image that this browser can read.`, true);
  }
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.fillStyle = 'white'; // behind transparent images
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const picture = context.getImageData(0, 0, bitmap.width, bitmap.height);
  await show(framed(picture, model.input), picture);
  say('');
}

/** The golden vectors, run here: does this browser compute what was exported? The output that is furthest from them counts. */
async function selfTest() {
  const size = model.input.height * model.input.width * 3;
  const pixels = bytes(golden.pixels);
  const outputs = (model.outputs ? Object.keys(model.outputs) : [view.output(model)]).map((name) => ({
    name, apart: 0, most: golden.tolerances?.[name] ?? golden.tolerance, expected: new Float32Array(bytes(golden[name]).buffer),
  }));
  for (let n = 0; n < golden.count; n++) {
    const {values} = await ask(pixels.subarray(n * size, (n + 1) * size));
    for (const each of outputs) {
      const numbers = each.expected.length / golden.count;
      const own = model.outputs ? values[each.name] : values;
      each.apart = Math.max(each.apart, view.apart(own, each.expected.subarray(n * numbers, (n + 1) * numbers), model));
    }
  }
  const worst = outputs.reduce((a, b) => (b.apart / b.most > a.apart / a.most ? b : a));
  return {...worst, held: outputs.every(({apart, most}) => apart <= most)};
}

function addSamples() {
  const size = model.input.height * model.input.width * 3;
  const pixels = bytes(golden.pixels);
  $('samples').replaceChildren(...Array.from({length: golden.count}, (_, n) => {
    const own = pixels.slice(n * size, (n + 1) * size);
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-label', `Test image ${n + 1}`);
    button.append(document.createElement('canvas'));
    draw(button.firstChild, own);
    button.addEventListener('click', async () => {
      if (!run) return;
      await off();
      $('file').value = '';
      show(own);
      say('');
    });
    return button;
  }));
}

async function start(processor) {
  await off();
  run = undefined;
  delete document.documentElement.dataset.state;
  for (const each of ['file', 'camera']) $(each).disabled = true;
  say('Loading …');
  try {
    run = await open(model, content, processor);
    const {apart, most, held} = await selfTest();
    say(
      held
        ? `Ready. Self-test: ${golden.count} golden vectors held (largest difference ${apart.toPrecision(2)}). `
          + 'No network is needed any more.'
        : `Self-test FAILED: ${apart.toPrecision(2)} from the golden vectors, at most ${most} expected. `
          + `This ${processor === 'gpu' ? 'GPU' : 'browser'} does not compute what was exported, and is not used.`,
      !held,
    );
    for (const each of ['file', 'camera']) $(each).disabled = !held;
    if (!held) run = undefined;
    document.documentElement.dataset.state = held ? 'ready' : 'failed';
  } catch (error) {
    say(`This browser cannot run the model: ${error.message}`, true);
    document.documentElement.dataset.state = 'failed';
  }
}

function listen() {
  $('file').addEventListener('change', (event) => showFile(event.target.files[0]));
  $('camera').hidden = !Camera.isThere;
  $('camera').addEventListener('click', live);
  $('strength').addEventListener('input', () => { if (view.slider(model).chooses) list(); paint(); });
  addEventListener('resize', () => { if (last) paint(); });
  $('processor').addEventListener('change', (event) => start(event.target.value));
  addEventListener('paste', (event) => showFile([...event.clipboardData.files][0]));
  addEventListener('dragover', (event) => { event.preventDefault(); $('drop').classList.add('over'); });
  addEventListener('dragleave', () => $('drop').classList.remove('over'));
  addEventListener('drop', (event) => {
    event.preventDefault();
    $('drop').classList.remove('over');
    showFile(event.dataTransfer.files[0]);
  });
}

function slide({min, value}) {
  $('strength').min = min;
  $('strength').value = value;
}

listen();
try {
  model = await fetched('model.json', 'json');
  if (!VIEWS[model.task]) throw new Error(`this page shows answers of ${Object.keys(VIEWS).join(' and ')}, and the net is of ${model.task}`);
  view = await VIEWS[model.task]();
  document.title = $('title').textContent = view.title;
  document.body.classList.toggle('paints', Boolean(view.paints));
  if (view.slider) slide(view.slider(model));
  labels = (await fetched(model.labels, 'text')).split('\n').slice(0, model.colours?.length ?? model.output.shape.at(-1));
  golden = await fetched(model.golden, 'json');
  content = new Uint8Array(await fetched(model.file, 'arrayBuffer'));
  $('about').textContent = `${model.spec ?? model.file}, ${model.precision}, ${labels.length} classes, `
    + `${(content.length / 1000).toFixed(0)} kB, on ${NAMES[model.format]}.`;
  addSamples();
  $('device').hidden = !(navigator.gpu && (await navigator.gpu.requestAdapter().catch(() => null)));
  await start('cpu');
} catch (error) {
  $('about').textContent = '';
  say(error.message, true);
  document.documentElement.dataset.state = 'failed';
}
self.answer = async (pixels) => view.answer((await ask(pixels)).values, model); // for tests, and for the curious
