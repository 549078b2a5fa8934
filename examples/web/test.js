// node test.js FOLDER [--pixels FILE] [--answer FILE] [--screenshots FOLDER]
// Opens the page of an exported folder in headless Chromium and uses it: desktop and phone, by keyboard, by file, by
// drop, with the network off after loading. Prints one line per check; exit status 1 if one fails.
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {chromium} from 'playwright-core';

import {serve} from './serve.js';

const here = dirname(fileURLToPath(import.meta.url));
const {values: options, positionals: [folder]} = parseArgs({
  allowPositionals: true,
  options: {pixels: {type: 'string'}, answer: {type: 'string'}, screenshots: {type: 'string'}},
});
const model = JSON.parse(readFileSync(join(folder, 'model.json')));
const golden = JSON.parse(readFileSync(join(folder, model.golden)));
const labels = readFileSync(join(folder, model.labels), 'utf8').split('\n');
const expected = labels[golden.top1[0]];
const WINDOWS = {
  desktop: {viewport: {width: 1280, height: 900}},
  phone: {viewport: {width: 390, height: 844}, deviceScaleFactor: 2, isMobile: true, hasTouch: true},
};
const failures = [];

function check(name, held, found = '') {
  console.log(`${held ? 'held  ' : 'FAILED'} ${name}${found === '' ? '' : `: ${found}`}`);
  if (!held) failures.push(name);
}

async function first(page) {
  await page.locator('#top li').first().waitFor();
  return page.locator('#top li .name').first().textContent();
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

async function use(browser, window, origin) {
  const context = await browser.newContext(WINDOWS[window]);
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
  check(`${window}: five classes`, (await page.locator('#top li').count()) === Math.min(5, model.output.shape.at(-1)));

  await page.evaluate(() => { document.querySelector('#top').replaceChildren(); document.activeElement.blur(); });
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.closest('#samples') !== null)) break;
  }
  await page.keyboard.press('Enter');
  check(`${window}: by keyboard alone`, (await first(page)) === expected);

  await page.evaluate(() => document.querySelector('#top').replaceChildren());
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
  await page.locator('#samples button').first().click();
  await first(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${window}: nothing is cut off`, wide <= 0, `${wide} pixels too wide`);
  if (window === 'desktop' && await page.locator('#device').isVisible()) await onTheGpu(context, page);
  check(`${window}: no errors`, errors.length === 0, errors.join('; '));
  if (options.screenshots) {
    mkdirSync(options.screenshots, {recursive: true});
    await page.screenshot({path: join(options.screenshots, `${window}.png`), fullPage: true});
  }
  return [context, page, ready];
}

/** Probabilities of many images, for the exporter to compare. */
async function answer(page) {
  const size = model.input.height * model.input.width * 3;
  const pixels = readFileSync(options.pixels);
  const count = pixels.length / size;
  const rows = new Float32Array(count * model.output.shape.at(-1));
  for (let start = 0; start < count; start += 50) {
    const part = pixels.subarray(start * size, Math.min(count, start + 50) * size).toString('base64');
    const found = await page.evaluate(async ([text, size]) => {
      const all = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const rows = [];
      for (let i = 0; i < all.length; i += size) rows.push(...(await self.classify(all.subarray(i, i + size))).probabilities);
      return rows;
    }, [part, size]);
    rows.set(found, start * model.output.shape.at(-1));
  }
  writeFileSync(options.answer, Buffer.from(rows.buffer));
}

const server = await serve([folder, here]);
const origin = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan',
    '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
try {
  const [phone] = await use(browser, 'phone', origin);
  await phone.close();
  const [, page, ready] = await use(browser, 'desktop', origin);
  if (options.pixels && ready) await answer(page);
} finally {
  await browser.close();
  server.close();
}
process.exit(failures.length ? 1 : 0);
