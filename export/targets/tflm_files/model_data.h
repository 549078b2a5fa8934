/* The .tflite file as it is on disk. Generated; do not edit. */
#ifndef MODEL_DATA_H_
#define MODEL_DATA_H_

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char model_data[];
extern const unsigned int model_data_size;

#ifdef __cplusplus
}
#endif

#endif /* MODEL_DATA_H_ */
