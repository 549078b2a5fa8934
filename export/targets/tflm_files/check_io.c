/* Tests what needs no TFLite Micro: do pixels become the tensor that the golden vectors hold, and outputs the answers? */
#include <stdio.h>
#include <stdlib.h>

#include "model_data.h"
#include "model_golden.h"

int main(void) {
  static int8_t tensor[MODEL_PIXELS];
  int different = 0, wrong = 0;
  for (int n = 0; n < MODEL_GOLDEN; ++n) {
    model_input(golden_pixels + n * MODEL_PIXELS, tensor);
    for (int i = 0; i < MODEL_PIXELS; ++i) {
      /* One step where a value lies between two. */
      if (abs(tensor[i] - golden_inputs[n * MODEL_PIXELS + i]) > 1) ++different;
    }
    const int8_t *output = golden_outputs + n * MODEL_OUTPUTS;
    const int best = model_best(output);
    printf("golden image %d: %s %.3f\n", n, model_labels[best], (double)model_share(output, best));
    for (int i = 0; i < MODEL_ANSWERS; ++i) wrong += model_answer(output, i) != golden_answers[n * MODEL_ANSWERS + i];
  }
  const int flatbuffer = model_data[4] == 'T' && model_data[5] == 'F' && model_data[6] == 'L' && model_data[7] == '3';
  printf("%d of %d input values and %d of %d answers differ, %s\n", different, MODEL_GOLDEN * MODEL_PIXELS, wrong,
         MODEL_GOLDEN * MODEL_ANSWERS, flatbuffer ? "the array is a TFLite file" : "the array is no TFLite file");
  /* Between points of a map rounding decides single pixels. */
  return different == 0 && wrong * 200 <= MODEL_GOLDEN * MODEL_ANSWERS && flatbuffer ? 0 : 1;
}
