// What the examples share: a NumPy array in memory.
#ifndef BEBR_CLIENT_EXAMPLES_NPY_H_
#define BEBR_CLIENT_EXAMPLES_NPY_H_

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

// A row-major matrix of floats, as numpy.save writes a float32 array.
struct Array {
  size_t rows = 0;
  size_t dims = 0;
  std::vector<float> values;

  const float* row(size_t i) const { return values.data() + i * dims; }
};

// Reads a .npy file of float32 rows of `dims` values; ends the program if it is none. Ten bytes say how long the header
// is; the numbers come after it.
inline Array ReadNpy(const std::string& path, size_t dims) {
  std::ifstream file(path, std::ios::binary);
  unsigned char start[10] = {};
  file.read(reinterpret_cast<char*>(start), sizeof(start));
  std::string header(start[8] | start[9] << 8, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  Array array{.dims = dims};
  std::vector<float> row(dims);
  const auto row_bytes = static_cast<std::streamsize>(dims * sizeof(float));
  while (file.read(reinterpret_cast<char*>(row.data()), row_bytes)) {
    array.values.insert(array.values.end(), row.begin(), row.end());
    ++array.rows;
  }
  if (array.rows == 0 || file.gcount() != 0 || header.find("'<f4'") == std::string::npos) {
    std::fprintf(stderr, "\"%s\" is no float32 array of rows of %zu values\n", path.c_str(), dims);
    std::exit(1);
  }
  return array;
}

#endif  // BEBR_CLIENT_EXAMPLES_NPY_H_
