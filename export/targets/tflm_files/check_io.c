/* Tests what needs no TFLite Micro: do pixels become the tensor that the golden vectors hold, and outputs the answers? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model_data.h"
#include "model_golden.h"
#include "model_show.h"

int main(void) {
  static int8_t tensor[MODEL_PIXELS];
  int different = 0, wrong = 0;
  for (int n = 0; n < MODEL_GOLDEN; ++n) {
    model_input(golden_pixels + n * MODEL_PIXELS, tensor);
    for (int i = 0; i < MODEL_PIXELS; ++i) {
      /* One step where a value lies between two. */
      if (abs(tensor[i] - golden_inputs[n * MODEL_PIXELS + i]) > 1) ++different;
    }
    const int8_t *tensors[MODEL_TENSORS], *next = golden_outputs + n * MODEL_OUTPUTS;
    for (int i = 0; i < MODEL_TENSORS; next += model_sizes[i++]) tensors[i] = next;
    printf("golden image %d: ", n);
    model_show(tensors);
    for (int i = 0; i < MODEL_ANSWERS; ++i) {
      const float apart = (float)model_answer(tensors, i) - (float)golden_answers[n * MODEL_ANSWERS + i];
      wrong += !(fabsf(apart) <= MODEL_ANSWER_TOLERANCE);
    }
  }
  const int flatbuffer = model_data[4] == 'T' && model_data[5] == 'F' && model_data[6] == 'L' && model_data[7] == '3';
  printf("%d of %d input values and %d of %d answers differ, %s\n", different, MODEL_GOLDEN * MODEL_PIXELS, wrong,
         MODEL_GOLDEN * MODEL_ANSWERS, flatbuffer ? "the array is a TFLite file" : "the array is no TFLite file");
  /* Between points of a map rounding decides single pixels. */
  return different == 0 && wrong * 200 <= MODEL_GOLDEN * MODEL_ANSWERS && flatbuffer ? 0 : 1;
}
