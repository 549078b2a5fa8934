import {NAMES, open} from './engines.js';
import {bytes, central, normalized, shown} from './pixels.js';

const $ = (id) => document.getElementById(id);
let model, labels, golden, content, run;

async function fetched(name, kind) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} is missing (${answer.status}): put the exported folder's files beside this page`);
  return answer[kind]();
}

function say(text, bad = false) {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
}

/** Probabilities for RGB pixels of the net's size. */
async function classify(pixels) {
  const start = performance.now();
  const probabilities = await run(normalized(pixels, model.input));
  return {probabilities, milliseconds: performance.now() - start};
}

async function show(pixels) {
  if (!run) return;
  const {probabilities, milliseconds} = await classify(pixels);
  const best = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 5);
  $('top').replaceChildren(...best.map((index) => {
    const item = document.createElement('li');
    const share = `${(100 * probabilities[index]).toFixed(1)} %`;
    item.innerHTML = '<span class="name"></span><span class="track"><span class="bar"></span></span><span class="share"></span>';
    item.querySelector('.name').textContent = labels[index] ?? String(index);
    item.querySelector('.share').textContent = share;
    item.querySelector('.bar').style.width = share.replace(' ', '');
    return item;
  }));
  $('time').textContent = `${milliseconds.toFixed(1)} ms`;
  draw($('seen'), pixels);
  $('result').hidden = false;
}

function draw(canvas, pixels) {
  [canvas.width, canvas.height] = [model.input.width, model.input.height];
  canvas.getContext('2d').putImageData(shown(pixels, model.input), 0, 0);
}

async function showFile(file) {
  if (!file) return;
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
  await show(central(context.getImageData(0, 0, bitmap.width, bitmap.height), model.input));
  say('');
}

/** The golden vectors, run here: does this browser compute what was exported? */
async function selfTest() {
  const size = model.input.height * model.input.width * 3;
  const classes = labels.length;
  const pixels = bytes(golden.pixels);
  const expected = new Float32Array(bytes(golden.probabilities).buffer);
  let apart = 0;
  for (let n = 0; n < golden.count; n++) {
    const {probabilities} = await classify(pixels.subarray(n * size, (n + 1) * size));
    probabilities.forEach((value, i) => { apart = Math.max(apart, Math.abs(value - expected[n * classes + i])); });
  }
  return {apart, held: apart <= golden.tolerance};
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
    button.addEventListener('click', () => {
      if (!run) return;
      $('file').value = '';
      show(own);
      say('');
    });
    return button;
  }));
}

async function start(processor) {
  run = undefined;
  delete document.documentElement.dataset.state;
  $('file').disabled = true;
  say('Loading …');
  try {
    run = await open(model, content, processor);
    const {apart, held} = await selfTest();
    say(
      held
        ? `Ready. Self-test: ${golden.count} golden vectors held (largest difference ${apart.toPrecision(2)}). `
          + 'No network is needed any more.'
        : `Self-test FAILED: ${apart.toPrecision(2)} from the golden vectors, at most ${golden.tolerance} expected. `
          + `This ${processor === 'gpu' ? 'GPU' : 'browser'} does not compute what was exported, and is not used.`,
      !held,
    );
    $('file').disabled = !held;
    if (!held) run = undefined;
    document.documentElement.dataset.state = held ? 'ready' : 'failed';
  } catch (error) {
    say(`This browser cannot run the model: ${error.message}`, true);
    document.documentElement.dataset.state = 'failed';
  }
}

function listen() {
  $('file').addEventListener('change', (event) => showFile(event.target.files[0]));
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

listen();
try {
  model = await fetched('model.json', 'json');
  const text = await fetched(model.labels, 'text');
  labels = text.split('\n').slice(0, model.output.shape.at(-1));
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
self.classify = classify; // for tests, and for the curious
