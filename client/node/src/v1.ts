/** The API's messages and services as they are: proto/bebr/v1. */
export * from "./gen/bebr/v1/admin_pb.js";
export * from "./gen/bebr/v1/collections_pb.js";
export * from "./gen/bebr/v1/documents_pb.js";
export * from "./gen/bebr/v1/search_pb.js";
export * from "./gen/bebr/v1/types_pb.js";
