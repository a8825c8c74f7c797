#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/convert.h"
#include "server/rpc/filter_text.h"

namespace bebr {
namespace {

absl::StatusOr<AttributeScalar> ToScalar(const v1::AttributeValue& value) {
  switch (value.kind_case()) {
    case v1::AttributeValue::kStringValue:
      return AttributeScalar(value.string_value());
    case v1::AttributeValue::kIntValue:
      return AttributeScalar(value.int_value());
    case v1::AttributeValue::kDoubleValue:
      return AttributeScalar(value.double_value());
    case v1::AttributeValue::kBoolValue:
      return AttributeScalar(value.bool_value());
    case v1::AttributeValue::kTimestampValue: {
      BEBR_ASSIGN_OR_RETURN(const Timestamp time, ParseTimestamp(value.timestamp_value()));
      return AttributeScalar(time);
    }
    case v1::AttributeValue::kListValue:
      return absl::InvalidArgumentError("has a list in a list; a list's values are none");
    case v1::AttributeValue::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "has no value; set one of string_value, int_value, double_value, bool_value, timestamp_value, list_value");
}

absl::StatusOr<DocumentInput> ToDocument(size_t index, const v1::Document& document, VectorArena& arena) {
  DocumentInput input;
  input.id = document.id();
  for (const auto& [name, value] : document.attributes()) {
    auto converted = ToAttribute(value);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("documents[%d].attributes[\"%s\"] %s", index, name, converted.status().message()));
    }
    input.attributes.emplace(name, *std::move(converted));
  }
  if (document.codes_size() != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("documents[%d].codes is not empty; codes are made of embeddings", index));
  }
  input.embeddings.reserve(document.embeddings_size());
  for (int i = 0; i < document.embeddings_size(); ++i) {
    const v1::Embedding& embedding = document.embeddings(i);
    auto values = arena.Read("", embedding.vector());
    if (!values.ok()) {
      // The path is built only for errors: it would cost more than the rest of the conversion.
      return arena.Read(absl::StrFormat("documents[%d].embeddings[%d].vector", index, i), embedding.vector()).status();
    }
    input.embeddings.push_back({.version = embedding.version(), .values = *values});
  }
  return input;
}

absl::StatusOr<UpsertMode> ToUpsertMode(v1::UpsertMode mode) {
  switch (mode) {
    case v1::UPSERT_MODE_UNSPECIFIED:
    case v1::UPSERT_MODE_REPLACE:
      return UpsertMode::kReplace;
    case v1::UPSERT_MODE_MERGE:
      return UpsertMode::kMerge;
    case v1::UPSERT_MODE_REPLACE_ALL:
      return UpsertMode::kReplaceAll;
    default:
      return absl::InvalidArgumentError(
          absl::StrFormat("mode is %d; it is 1 (replace), 2 (merge) or 3 (replace all)", static_cast<int>(mode)));
  }
}

// Of a request, and of a message of a stream.
template <typename Request>
absl::StatusOr<UpsertRequest> ToUpsert(const std::string& collection, const Request& request, VectorArena& arena) {
  UpsertRequest upsert;
  upsert.collection = collection;
  BEBR_ASSIGN_OR_RETURN(upsert.mode, ToUpsertMode(request.mode()));
  const v1::UpsertOptions& options = request.options();
  upsert.only_if_absent = options.only_if_absent();
  upsert.only_if_newer_by = options.only_if_newer_by();
  upsert.partial = options.partial();
  upsert.model_checksum = options.model_checksum();
  BEBR_ASSIGN_OR_RETURN(upsert.documents, ToDocuments(request.documents(), arena, options.partial()));
  return upsert;
}

template <typename Response>
void Fill(const UpsertResult& result, Response* out) {
  out->set_documents(result.documents);
  out->set_created(result.created);
  for (const std::string& id : result.unknown_ids) out->add_unknown_ids(id);
  for (const std::string& id : result.skipped_ids) out->add_skipped_ids(id);
  for (const DocumentProblem& problem : result.problems) {
    v1::DocumentError* error = out->add_errors();
    error->set_index(static_cast<uint32_t>(problem.index));
    error->set_id(problem.id);
    error->set_code(static_cast<int32_t>(problem.status.code()));
    error->set_message(ForCallers(std::string(problem.status.message())));
  }
}

}  // namespace

absl::StatusOr<AttributeValue> ToAttribute(const v1::AttributeValue& value) {
  if (!value.has_list_value()) {
    BEBR_ASSIGN_OR_RETURN(AttributeScalar scalar, ToScalar(value));
    return ToValue(std::move(scalar));
  }
  AttributeList list;
  list.reserve(value.list_value().values_size());
  for (const v1::AttributeValue& one : value.list_value().values()) {
    BEBR_ASSIGN_OR_RETURN(AttributeScalar scalar, ToScalar(one));
    list.push_back(std::move(scalar));
  }
  return AttributeValue(std::move(list));
}

absl::StatusOr<absl::Span<const float>> VectorArena::Read(std::string_view field, const v1::Vector& vector) {
  const std::string& bytes = vector.float16();
  if (bytes.empty()) return absl::MakeConstSpan(vector.values().data(), vector.values_size());
  if (vector.values_size() != 0) {
    return absl::InvalidArgumentError(absl::StrFormat("%s has values and float16; set one of them", field));
  }
  if (bytes.size() % sizeof(uint16_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s.float16 has %d bytes; it has 2 a value", field, bytes.size()));
  }
  const size_t count = bytes.size() / sizeof(uint16_t);
  std::vector<uint16_t> halves(count);  // a message's bytes need not be aligned
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  std::vector<float>& values = expanded_.emplace_back(count);
  HalfToFloat(halves.data(), count, values.data());
  return absl::MakeConstSpan(values);
}

absl::StatusOr<std::vector<DocumentInput>> ToDocuments(
    const google::protobuf::RepeatedPtrField<v1::Document>& documents, VectorArena& arena, bool partial) {
  BEBR_RETURN_IF_ERROR(ValidateCount("documents", static_cast<size_t>(documents.size()), kMaxDocumentsPerRequest));
  std::vector<DocumentInput> inputs;
  inputs.reserve(documents.size());
  for (int i = 0; i < documents.size(); ++i) {
    auto input = ToDocument(i, documents[i], arena);
    if (!input.ok() && !partial) return input.status();
    if (input.ok()) {
      inputs.push_back(*std::move(input));
    } else {
      inputs.push_back({.id = documents[i].id(), .problem = input.status()});
    }
  }
  return inputs;
}

absl::StatusOr<UpsertRequest> ToUpsertRequest(const std::string& collection, const v1::UpsertRequest& request,
                                              VectorArena& arena) {
  return ToUpsert(collection, request, arena);
}

absl::StatusOr<UpsertRequest> ToUpsertRequest(const std::string& collection, const v1::StreamUpsertRequest& request,
                                              VectorArena& arena) {
  return ToUpsert(collection, request, arena);
}

absl::StatusOr<std::vector<AttributeValue>> ToAttributes(
    const google::protobuf::RepeatedPtrField<v1::AttributeValue>& values) {
  std::vector<AttributeValue> converted;
  for (const v1::AttributeValue& value : values) {
    BEBR_ASSIGN_OR_RETURN(converted.emplace_back(), ToAttribute(value));
  }
  return converted;
}

absl::StatusOr<AttributeUpdate> ToAttributeUpdate(const v1::UpdateAttributesRequest& request) {
  AttributeUpdate update;
  update.ids.assign(request.ids().begin(), request.ids().end());
  BEBR_ASSIGN_OR_RETURN(update.filter, ReadFilter(request));
  update.change.clear = request.clear();
  update.change.remove.assign(request.remove().begin(), request.remove().end());
  for (const auto& [name, value] : request.set()) {
    auto converted = ToAttribute(value);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(absl::StrFormat("set[\"%s\"] %s", name, converted.status().message()));
    }
    update.change.set.emplace(name, *std::move(converted));
  }
  return update;
}

void ToProto(const UpsertResult& result, v1::UpsertResponse* out) { Fill(result, out); }

void ToProto(const UpsertResult& result, v1::StreamUpsertResponse* out) { Fill(result, out); }

void ToProto(Attributes&& attributes, google::protobuf::Map<std::string, v1::AttributeValue>* out) {
  for (auto& [name, value] : attributes) {
    ToProto(std::move(value), &(*out)[name]);
  }
}

void ToProto(AttributeValue&& value, v1::AttributeValue* out) {
  if (auto* text = std::get_if<std::string>(&value)) {
    out->set_string_value(std::move(*text));
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    out->set_int_value(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    out->set_double_value(*number);
  } else if (const auto* time = std::get_if<Timestamp>(&value)) {
    out->set_timestamp_value(FormatTimestamp(*time));
  } else if (auto* list = std::get_if<AttributeList>(&value)) {
    auto* values = out->mutable_list_value()->mutable_values();
    values->Reserve(static_cast<int>(list->size()));
    for (AttributeScalar& scalar : *list) ToProto(ToValue(std::move(scalar)), values->Add());
  } else {
    out->set_bool_value(std::get<bool>(value));
  }
}

void ToProto(PageDocument&& document, v1::Document* out) {
  ToProto(std::move(document.document), out);
  for (DocumentCode& code : document.codes) {
    v1::DocumentCode* target = out->add_codes();
    target->set_version(std::move(code.version));
    target->set_space(code.space);
    target->mutable_words()->Add(code.words.begin(), code.words.end());
    target->set_scale(code.scale);
    target->set_offset(code.offset);
    target->set_group(code.group);
  }
}

void ToProto(Document&& document, v1::Document* out) {
  out->set_id(std::move(document.id));
  ToProto(std::move(document.attributes), out->mutable_attributes());
  for (StoredEmbedding& embedding : document.embeddings) {
    v1::Embedding* target = out->add_embeddings();
    target->set_version(std::move(embedding.version));
    target->mutable_vector()->mutable_values()->Add(embedding.values.begin(), embedding.values.end());
  }
}

}  // namespace bebr
