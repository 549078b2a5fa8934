// node test.js FOLDER [--pixels FILE] [--answer FILE] [--pictures FOLDER] [--screenshots FOLDER]
// Opens the page of an exported folder in headless Chromium and uses it: desktop and phone, by keyboard, by file, by
// drop, by camera, with the network off after loading. Prints one line per check; exit status 1 if one fails. `--pictures` has PNG
// files; beside each the page's mask is written, NAME.mask, a byte for every pixel of the picture, or its objects, NAME.json.
import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {chromium} from 'playwright-core';

import {serve} from './serve.js';

const here = dirname(fileURLToPath(import.meta.url));
const {values: options, positionals: [folder]} = parseArgs({
  allowPositionals: true,
  options: {pixels: {type: 'string'}, answer: {type: 'string'}, pictures: {type: 'string'}, screenshots: {type: 'string'}},
});
const model = JSON.parse(readFileSync(join(folder, 'model.json')));
const golden = JSON.parse(readFileSync(join(folder, model.golden)));
const labels = readFileSync(join(folder, model.labels), 'utf8').split('\n');
const size = model.input.height * model.input.width * 3;
const finds = model.task === 'detection';
const paints = model.task === 'segmentation';
const counts = goldenCounts();
const expected = finds ? goldenBest() : labels[paints ? counts[0][0] : golden.top1[0]];
const WINDOWS = {
  desktop: {viewport: {width: 1280, height: 900}},
  phone: {viewport: {width: 390, height: 844}, deviceScaleFactor: 2, isMobile: true, hasTouch: true},
};
const MOST_ON_SOFTWARE = 3 * 96 * 96; // numbers of an image of masks or boxes: beyond, the software adapter takes minutes
const failures = [];

function check(name, held, found = '') {
  console.log(`${held ? 'held  ' : 'FAILED'} ${name}${found === '' ? '' : `: ${found}`}`);
  if (!held) failures.push(name);
}

/** Of boxes: the class of the surest object in the first golden image; empty where an app shows none. */
function goldenBest() {
  const scores = new Float32Array(Uint8Array.from(Buffer.from(golden.scores, 'base64')).buffer).subarray(0, model.outputs.scores.shape[1] * model.colours.length);
  const best = argmax(scores);
  return scores[best] > model.threshold - 1e-7 ? labels[best % model.colours.length] : '';
}

/** Of masks: classes of the first golden image and their numbers of pixels, the largest first. */
function goldenCounts() {
  if (!paints) return [];
  const values = new Float32Array(Uint8Array.from(Buffer.from(golden[model.form || 'logits'], 'base64')).buffer);
  const numbers = values.length / golden.count;
  const count = model.form === 'classes' ? 1 : model.colours.length;
  const counts = new Map();
  for (let n = 0; n < numbers; n += count) {
    let best = values[n];
    if (model.form !== 'classes') best = count === 1 ? Number(best > 0.5) : argmax(values.subarray(n, n + count));
    counts.set(best, (counts.get(best) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}

function argmax(values) {
  return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
}

async function first(page) {
  await page.waitForFunction(() => document.querySelector('#top li') || document.querySelector('#note').textContent.startsWith('No object'));
  return (await page.locator('#top li .name').allTextContents())[0] ?? '';
}

function forget(page) {
  return page.evaluate(() => { for (const each of ['#top', '#note']) document.querySelector(each).replaceChildren(); });
}

/** A PNG of the first golden image, made by the browser itself. */
function png(page) {
  return page.evaluate(async () => {
    const sample = document.querySelector('#samples canvas');
    return new Promise((done) => sample.toBlob(async (blob) => done([...new Uint8Array(await blob.arrayBuffer())]), 'image/png'));
  });
}

/** The page again on WebGPU: Chromium has a software adapter where there is no GPU. */
async function onTheGpu(context, page) {
  await context.setOffline(false);
  await page.locator('#processor').selectOption('gpu');
  await page.waitForFunction(() => document.documentElement.dataset.state, null, {timeout: 120000});
  const said = await page.locator('#status').textContent();
  // Some files (8 bits on LiteRT.js) have no GPU kernels: the page must say so, and go on on the processor.
  check('desktop: WebGPU works, or the page says that it does not', /Self-test|cannot run/.test(said), said);
  await page.locator('#processor').selectOption('cpu');
  await page.waitForFunction(() => document.documentElement.dataset.state === 'ready', null, {timeout: 120000});
  await page.locator('#samples button').first().click();
  check('desktop: back on the processor', (await first(page)) === expected);
}

/** Without colour the picture is the image itself; with all of it, the colour of the class. */
async function strength(page, window) {
  const colour = async (value) => {
    await page.locator('#strength').fill(String(value));
    return page.evaluate(() => [...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 1, 1).data.subarray(0, 3)]);
  };
  const image = [...Buffer.from(golden.pixels, 'base64').subarray(0, 3)];
  const index = await page.evaluate(() => self.mask[0]);
  const [none, all] = [await colour(0), await colour(100)];
  await colour(55);
  check(`${window}: the colour of the mask`, `${none}` === `${image}` && `${all}` === `${model.colours[index]}`, `${none}; ${all}`);
}

/** The slider chooses objects by their scores, and the first one's sides have its colour. */
async function objects(page, window) {
  const shown = () => page.evaluate(() => [self.objects, document.querySelectorAll('#top li').length]);
  const [some, usual] = [(await shown())[0], await page.locator('#strength').inputValue()];
  await page.locator('#strength').fill('100');
  const [none, lines] = await shown();
  await page.locator('#strength').fill(String(100 * model.floor));
  const [all, most] = await shown();
  await page.locator('#strength').fill(usual);
  const held = none.every(({score}) => score > 1 - 1e-6) && lines === Math.min(20, none.length) && most === Math.min(20, all.length);
  check(`${window}: the slider chooses objects`, held && all.length >= some.length, `${none.length}, ${some.length}, ${all.length}`);
  if (!some.length) return;
  const share = await page.evaluate(([{box}, [red, green, blue]]) => {
    const canvas = document.querySelector('#seen');
    const pixel = canvas.width / document.querySelector('#samples canvas').width;
    const inside = canvas.width / canvas.clientWidth; // a pixel of the page, half of the line
    const [x1, y1, x2, y2] = box.map((side) => side * pixel);
    const along = (low, high) => Array.from({length: 50}, (_, n) => low + ((n + 0.5) * (high - low)) / 50);
    const places = [...along(y1, y2).flatMap((y) => [[x1 + inside, y], [x2 - inside, y]]), ...along(x1, x2).flatMap((x) => [[x, y1 + inside], [x, y2 - inside]])];
    const same = places.filter(([x, y]) => {
      const found = canvas.getContext('2d').getImageData(Math.floor(x), Math.floor(y), 1, 1).data;
      return Math.abs(found[0] - red) + Math.abs(found[1] - green) + Math.abs(found[2] - blue) < 12;
    });
    return same.length / places.length;
  }, [some[0], model.colours[some[0].index]]);
  check(`${window}: a box over the picture`, share > 0.5, `${(100 * share).toFixed(0)} % of its sides`);
}

/** Frames of Chromium's own camera, in which a ball rolls: they go on until the button ends them, and then nothing moves. */
async function live(page, window) {
  const seen = () => page.evaluate(() => document.querySelector('#seen').toDataURL());
  const other = (than) => page.waitForFunction((than) => document.querySelector('#seen').toDataURL() !== than, than, {timeout: 60000});
  let moves = 0;
  try {
    await page.locator('#camera').click();
    for (let held = await seen(); moves < 3; moves++) {
      await other(held);
      held = await seen();
    }
  } catch (error) {
    console.log(`note: ${error.message.split('\n')[0]}`);
  }
  const said = await page.locator('#time').textContent();
  check(`${window}: frames of a camera`, moves === 3 && /frames a second/.test(said), said);
  await page.locator('#camera').click();
  await page.waitForFunction(() => document.querySelector('#camera').textContent === 'Use the camera');
  const last = await seen();
  await page.waitForTimeout(300);
  check(`${window}: the camera is stopped`, (await seen()) === last);
}

async function use(browser, window, origin) {
  const context = await browser.newContext({...WINDOWS[window], permissions: ['camera']});
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    const notes = /^(INFO|WARNING|VERBOSE):/; // LiteRT.js writes all its notes as errors
    if (message.type() === 'error' && !notes.test(message.text())) errors.push(message.text());
  });
  await page.goto(origin);
  await page.waitForFunction(() => document.documentElement.dataset.state, null, {timeout: 120000});
  const ready = (await page.evaluate(() => document.documentElement.dataset.state)) === 'ready';
  check(`${window}: self-test`, ready, await page.locator('#status').textContent());
  if (!ready) return [context, page, ready]; // the page does not classify then
  await context.setOffline(true);

  const image = Buffer.from(await png(page));
  await page.locator('#file').setInputFiles({name: 'golden.png', mimeType: 'image/png', buffer: image});
  check(`${window}: a file, offline`, (await first(page)) === expected, await page.locator('#time').textContent());
  const listed = finds ? await page.evaluate(() => Math.min(20, self.objects.length))
    : paints ? Math.min(20, counts.length) : Math.min(5, model.output.shape.at(-1));
  check(`${window}: ${listed} ${finds ? 'objects' : 'classes'} are named`, (await page.locator('#top li').count()) === listed);

  await forget(page);
  await page.evaluate(() => document.activeElement.blur());
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.closest('#samples') !== null)) break;
  }
  await page.keyboard.press('Enter');
  check(`${window}: by keyboard alone`, (await first(page)) === expected);

  await forget(page);
  const transfer = await page.evaluateHandle((content) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(content)], 'dropped.png', {type: 'image/png'}));
    return data;
  }, [...image]);
  await page.dispatchEvent('#drop', 'drop', {dataTransfer: transfer});
  check(`${window}: a dropped image`, (await first(page)) === expected);

  await page.locator('#file').setInputFiles({name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no image')});
  await page.waitForFunction(() => document.querySelector('#status').classList.contains('bad'));
  check(`${window}: a damaged image is named`, /no image/.test(await page.locator('#status').textContent()));
  await live(page, window);
  await page.locator('#samples button').first().click();
  await first(page);
  if (paints) await strength(page, window);
  if (finds) await objects(page, window);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${window}: nothing is cut off`, wide <= 0, `${wide} pixels too wide`);
  const patient = !(paints || finds) || size <= MOST_ON_SOFTWARE;
  if (window === 'desktop' && patient && await page.locator('#device').isVisible()) await onTheGpu(context, page);
  check(`${window}: no errors`, errors.length === 0, errors.join('; '));
  if (options.screenshots) {
    mkdirSync(options.screenshots, {recursive: true});
    await page.screenshot({path: join(options.screenshots, `${window}.png`), fullPage: true});
  }
  return [context, page, ready];
}

/** Answers for many images, for the exporter to compare: float32 probabilities, uint8 classes of pixels, or objects as JSON. */
async function answer(page) {
  const pixels = readFileSync(options.pixels);
  if (finds) return writeFileSync(options.answer, JSON.stringify(await objectsIn(page, pixels)));
  const parts = [];
  for (let start = 0; start < pixels.length; start += 50 * size) {
    const part = pixels.subarray(start, start + 50 * size).toString('base64');
    parts.push(Buffer.from(await page.evaluate(async ([text, size]) => {
      const all = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      let found = '';
      for (let i = 0; i < all.length; i += size) {
        const answer = await self.answer(all.subarray(i, i + size));
        new Uint8Array(answer.buffer, answer.byteOffset, answer.byteLength).forEach((each) => { found += String.fromCharCode(each); });
      }
      return btoa(found);
    }, [part, size]), 'base64'));
  }
  writeFileSync(options.answer, Buffer.concat(parts));
}

/** The objects in many images, by image; boxes in 0..1 of the net's input. */
async function objectsIn(page, pixels) {
  const all = [];
  for (let start = 0; start < pixels.length; start += size) {
    const text = pixels.subarray(start, start + size).toString('base64');
    all.push(await page.evaluate((text) => self.answer(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))), text));
  }
  return all;
}

/** What the page draws over pictures, which it gets as files. */
async function drawn(page) {
  for (const name of readdirSync(options.pictures)) {
    await page.evaluate(() => { self.mask = self.objects = undefined; });
    await page.locator('#file').setInputFiles(join(options.pictures, name));
    await page.waitForFunction(() => self.mask ?? self.objects, null, {timeout: 60000});
    if (finds) {
      writeFileSync(join(options.pictures, `${name}.json`), JSON.stringify(await page.evaluate(() => self.objects)));
      continue;
    }
    const found = await page.evaluate(() => {
      let text = '';
      self.mask.forEach((each) => { text += String.fromCharCode(each); });
      return btoa(text);
    });
    writeFileSync(join(options.pictures, `${name}.mask`), Buffer.from(found, 'base64'));
  }
}

const server = await serve([folder, here]);
const origin = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan',
    '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
});
try {
  const [phone] = await use(browser, 'phone', origin);
  await phone.close();
  const [, page, ready] = await use(browser, 'desktop', origin);
  if (options.pixels && ready) await answer(page);
  if (options.pictures && ready) await drawn(page);
} finally {
  await browser.close();
  server.close();
}
process.exit(failures.length ? 1 : 0);
