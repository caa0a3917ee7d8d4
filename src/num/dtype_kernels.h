/* The conversion loops behind the table of num/dtype.h. Any alignment on the storage side. */
#ifndef QK_NUM_DTYPE_KERNELS_H
#define QK_NUM_DTYPE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

void qk_dtype_f64_to_f64(const void *src, size_t n, double *dst);
void qk_dtype_f32_to_f64(const void *src, size_t n, double *dst);
void qk_dtype_f16_to_f64(const void *src, size_t n, double *dst);
void qk_dtype_bf16_to_f64(const void *src, size_t n, double *dst);
void qk_dtype_e4m3_to_f64(const void *src, size_t n, double *dst);
void qk_dtype_e5m2_to_f64(const void *src, size_t n, double *dst);

void qk_dtype_f64_to_f32(const void *src, size_t n, float *dst);
void qk_dtype_f32_to_f32(const void *src, size_t n, float *dst);
void qk_dtype_f16_to_f32(const void *src, size_t n, float *dst);
void qk_dtype_bf16_to_f32(const void *src, size_t n, float *dst);
void qk_dtype_e4m3_to_f32(const void *src, size_t n, float *dst);
void qk_dtype_e5m2_to_f32(const void *src, size_t n, float *dst);

void qk_dtype_f64_from_f64(const double *src, size_t n, void *dst);
void qk_dtype_f32_from_f64(const double *src, size_t n, void *dst);
void qk_dtype_f16_from_f64(const double *src, size_t n, void *dst);
void qk_dtype_bf16_from_f64(const double *src, size_t n, void *dst);
void qk_dtype_e4m3_from_f64(const double *src, size_t n, void *dst);
void qk_dtype_e5m2_from_f64(const double *src, size_t n, void *dst);

#endif
