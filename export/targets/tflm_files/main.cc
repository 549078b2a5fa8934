// Runs the golden vectors on TFLite Micro and compares. Exit status 0 when all of them hold.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "model_data.h"
#include "model_golden.h"
#include "model_io.h"
#include "model_operators.h"
#include "model_show.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) uint8_t arena[kModelArena];

bool Held(const int8_t* const* tensors, const int8_t* golden) {
  for (int k = 0; k < MODEL_TENSORS; golden += model_sizes[k++]) {
    for (int i = 0; i < model_sizes[k]; ++i) {
      if (std::abs(tensors[k][i] - golden[i]) > golden_tolerances[k]) return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel(model_data);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    std::printf("the file has schema %d, this build knows %d\n", static_cast<int>(model->version()),
                TFLITE_SCHEMA_VERSION);
    return 1;
  }
  static tflite::MicroMutableOpResolver<kModelOperators> resolver;
  if (AddModelOperators(resolver) != kTfLiteOk) return 1;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, kModelArena);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::printf("an arena of %d bytes is too small\n", static_cast<int>(kModelArena));
    return 1;
  }
  TfLiteTensor* input = interpreter.input(0);
  const int8_t* tensors[MODEL_TENSORS];
  for (int k = 0; k < MODEL_TENSORS; ++k) {
    const TfLiteTensor* output = interpreter.output(k);
    if (output->bytes != static_cast<size_t>(model_sizes[k])) return 1;
    tensors[k] = output->data.int8;
  }
  if (input->bytes != MODEL_PIXELS) return 1;

  int held = 0;
  for (int n = 0; n < MODEL_GOLDEN; ++n) {
    model_input(golden_pixels + n * MODEL_PIXELS, input->data.int8);
    if (interpreter.Invoke() != kTfLiteOk) return 1;
    std::printf("golden image %d: ", n);
    model_show(tensors);
    held += Held(tensors, golden_outputs + n * MODEL_OUTPUTS);
  }
  std::printf("%d of %d golden vectors held, %d bytes of the arena used\n", held, static_cast<int>(MODEL_GOLDEN),
              static_cast<int>(interpreter.arena_used_bytes()));
  return held == MODEL_GOLDEN ? 0 : 1;
}
