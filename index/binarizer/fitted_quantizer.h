// From the values of a projection to packed codes, for models whose quantizer is fitted to every row.
#ifndef BEBR_INDEX_BINARIZER_FITTED_QUANTIZER_H_
#define BEBR_INDEX_BINARIZER_FITTED_QUANTIZER_H_

#include <cstdint>
#include <vector>

#include "index/binarizer/error_shaper.h"
#include "index/binarizer/model.h"

namespace bebr {

// A FittedQuantizer rounds the values y of a projection, model.components() of them, to the levels of a code
// (FORMAT.md, "Fitted quantizers").
//
// Documents. The code's values have fixed distances, y is multiplied with each of a few scales, and the code that
// points most nearly where y does is taken: that makes up for rows whose values are less or more spread than the
// model's rows are. Queries. A band's values are rounded to 2^levels evenly spaced ones, of which the outermost are its
// own largest: a query is coded as finely as its integers allow, whatever levels documents have. Of 7 levels they lie
// further out where it takes that to keep each four values within what a byte of the kernels' tables holds.
//
// Values of trellis-coded runs are rounded by EncodeTrellis, all of a word at once.
//
// Determinism: a result depends on y and the model alone, to the last bit. Thread safety: const methods may run
// concurrently. Cost of a document: five times its dims (three times with trellis codes, which take ten times as long),
// of a query once.
class FittedQuantizer {
 public:
  // What is kept of a document beside its code.
  struct Fit {
    double factor = 0.0;  // that the code is to be multiplied with; 0 if y is 0 or no number
    double energy = 0.0;  // of y that the code stands for: <y, code>^2 / |code|^2
  };

  FittedQuantizer() = default;
  // Of the model's bands, weights and rules.
  explicit FittedQuantizer(const Model& model);

  // Writes spec.code_words() words. With `shaper`, which is of the model's components or null, the code found is
  // changed so that its errors are such as the shaper weighs least, if that makes them less.
  Fit EncodeDocument(const float* y, uint32_t* code, const ErrorShaper* shaper = nullptr) const;
  // Writes spec.QueryWords(levels) words, and for each band what its integers (CodeSpec) are to be multiplied with to
  // be y.
  void EncodeQuery(const float* y, uint32_t levels, uint32_t* planes, double* units) const;

 private:
  struct Run {
    uint32_t dims, levels, bands;
    bool trellis;
    float weight;
  };

  std::vector<Run> runs_;
  uint32_t dims_ = 0;
  bool trellis_ = false;   // some run is trellis-coded
  bool tempered_ = false;  // factors lie between that which fits best and the unbiased one
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_FITTED_QUANTIZER_H_
