// The two runtimes behind one function: open(model, content, processor) -> async (Float32Array) => Float32Array, or of a
// file with several outputs {name: Float32Array}. Everything is fetched here, so that the page works without a network afterwards.

/** The only output, or all of them by their names. */
async function named(model, read) {
  if (!model.outputs) return read(model.output.name);
  const values = {};
  for (const name of Object.keys(model.outputs)) values[name] = await read(name);
  return values;
}

async function onnx(model, content, processor) {
  const gpu = processor === 'gpu';
  const ort = await import(gpu ? 'onnxruntime-web/webgpu' : 'onnxruntime-web');
  ort.env.wasm.wasmPaths = new URL('./node_modules/onnxruntime-web/dist/', import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = 'error';
  // Notes on what WebGPU leaves to the processor would be written as errors: 3 are errors alone.
  const options = {executionProviders: [gpu ? 'webgpu' : 'wasm'], logSeverityLevel: 3};
  const session = await ort.InferenceSession.create(content, options);
  return async (values) => {
    const answer = await session.run({[model.input.name]: new ort.Tensor('float32', values, model.input.shape)});
    return named(model, async (name) => answer[name].getData());
  };
}

let loading; // LiteRT.js can be loaded once in a page

async function tflite(model, content, processor) {
  const {loadLiteRt, loadAndCompile, Tensor} = await import('@litertjs/core');
  loading ??= loadLiteRt(new URL('./node_modules/@litertjs/core/wasm/', import.meta.url).href);
  await loading;
  const compiled = await loadAndCompile(content, {accelerator: processor === 'gpu' ? 'webgpu' : 'wasm'});
  return async (values) => {
    const input = new Tensor(values, model.input.shape);
    const answer = await compiled.run({[model.input.name]: input});
    const result = await named(model, async (name) => Float32Array.from(await answer[name].data()));
    [input, ...Object.values(answer)].forEach((tensor) => tensor.delete());
    return result;
  };
}

const ENGINES = {onnx, tflite};
export const NAMES = {onnx: 'ONNX Runtime Web', tflite: 'LiteRT.js'};

/**
 * Opens a model file.
 * @param {object} model what model.json holds.
 * @param {Uint8Array} content of the file.
 * @param {'cpu' | 'gpu'} processor
 */
export function open(model, content, processor) {
  const engine = ENGINES[model.format];
  if (!engine) throw new Error(`this page runs .onnx and .tflite files, and model.json names a ${model.format} file`);
  if (model.input.dtype !== 'float32') {
    throw new Error(`browsers' runtimes take float32, and the file takes ${model.input.dtype}: export it with --io float32`);
  }
  return engine(model, content, processor);
}
