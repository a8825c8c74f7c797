// The page that web.test.mjs opens in Chromium, from another origin than the server's.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

import { SearchService } from "./gen/bebr/v1/search_pb.js";

globalThis.search = async (baseUrl, key, useBinaryFormat, request) => {
  const withKey = (next) => (call) => {
    call.header.set("Authorization", `Bearer ${key}`);
    return next(call);
  };
  const client = createClient(SearchService, createConnectTransport({ baseUrl, useBinaryFormat, interceptors: [withKey] }));
  try {
    const { hits } = await client.search(request, { timeoutMs: 60_000 });
    return { hits: hits.map(({ id, score, its }) => [id, score, its]) };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return { code: Code[code], message: rawMessage };
  }
};
