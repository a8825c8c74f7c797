// Attributes between the forms that people write and the API's messages.
#ifndef BEBR_CLIENT_CLI_ATTRIBUTE_H_
#define BEBR_CLIENT_CLI_ATTRIBUTE_H_

#include <string>

#include "absl/status/status.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/types.pb.h"
#include "index/types/document.h"

namespace bebr {

void SetAttribute(const AttributeValue& value, v1::AttributeValue* out);

// What JSON says the text is: 7, 1.5, true, "7", ["a", "b"], {"timestamp": "2026-01-31T12:00:00Z"}; anything else is
// text. INVALID_ARGUMENT for JSON that is no attribute.
absl::Status ReadAttribute(const std::string& name, const std::string& text, v1::AttributeValue* out);

// A rule of a collection's schema: NAME:KIND, NAME:STORAGE or NAME:KIND:STORAGE, where KIND is string, int, double,
// bool or timestamp and STORAGE indexed or stored.
absl::Status ReadRule(const std::string& text, v1::AttributeRule* out);
std::string WriteRule(const v1::AttributeRule& rule);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_ATTRIBUTE_H_
