// A line of JSON: an embedding, an id and attributes.
#ifndef BEBR_INDEX_DATASET_JSON_ROW_H_
#define BEBR_INDEX_DATASET_JSON_ROW_H_

#include <string>
#include <string_view>
#include <vector>

#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// Takes the embedding out of a line, which is an array of numbers, or an object with that array under "embedding" or
// "values". With `fields`, also "id", which is text or a whole number; `with_attributes`, every other key as an
// attribute: text, a number, true or false; null stands for none. What is not wanted is passed over.
//
// Returns what is wrong, empty if nothing is: also numbers beyond 64 bits, a key that stands twice, and what is beyond
// the limits of ids and attributes.
std::string ParseJsonRow(std::string_view line, std::vector<float>* values, RowFields* fields, bool with_attributes);

// The same for a line that is an object of attributes alone.
std::string ParseJsonAttributes(std::string_view line, Attributes* attributes);

// The same for a line that is an object with "id", which is text, and "attributes", an object of them, and nothing
// else; or one of a BEIR corpus: "_id", "metadata", an object of attributes, and all else an attribute, but for empty
// texts. Without attributes these are passed over, whatever they are.
std::string ParseJsonDocument(std::string_view line, std::string* id, Attributes* attributes, bool with_attributes);

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_JSON_ROW_H_
