const MODEL_CHUNK_BYTES = 1 << 20;

/** A binarizer's file in the pieces that a call takes. */
export function modelParts(model: Uint8Array): { part: { case: "modelChunk"; value: Uint8Array } }[] {
  const parts = [];
  for (let first = 0; first < model.length; first += MODEL_CHUNK_BYTES) {
    parts.push({ part: { case: "modelChunk" as const, value: model.subarray(first, first + MODEL_CHUNK_BYTES) } });
  }
  return parts;
}
