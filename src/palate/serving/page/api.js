// The one way to the server: keys, errors in a person's words, and plain objects out.

const KEY = "palate-key";

/** What went wrong, said so that a person knows what to do. */
export class Trouble extends Error {
  constructor(status, title, advice, { retryAfter = null, requestId = null } = {}) {
    super(title);
    Object.assign(this, { status, title, advice, retryAfter, requestId });
  }
}

export const key = {
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? "";
    } catch {
      return "";
    }
  },
  /** Kept until the tab is closed, and nowhere else. */
  set(value) {
    try {
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    } catch {
      // without storage the key lives as long as the page
    }
  },
};

const SAID = {
  401: ["This server asks for a key", "Enter your key, then try again."],
  403: ["Your key may not do this", "Ask for a key with a wider scope, or use another one."],
  404: ["That is not here", "It may have been deleted meanwhile."],
  413: ["That was too much at once", "Send less."],
  429: ["Too many attempts", "Wait a little, then try again."],
  503: ["The server is busy", "It answers others first; your turn comes."],
};

function trouble(status, told, headers) {
  const [title, advice] = SAID[status] ?? [
    status >= 500 ? "The server stumbled" : "The server could not do that",
    status >= 500 ? "Try again; if it stays, look at the server's log." : "",
  ];
  const plain = status === 401 || status === 503;
  const seconds = Number(headers.get("Retry-After"));
  return new Trouble(
    status,
    plain ? title : told.message || title,
    plain ? advice : told.hint || (told.message ? "" : advice),
    { retryAfter: seconds > 0 ? seconds : null, requestId: told.request_id ?? null },
  );
}

async function told(response) {
  try {
    const body = await response.json();
    return body.error ?? (typeof body.detail === "string" ? { message: body.detail } : {});
  } catch {
    return {}; // not JSON: some proxy answered; the status alone has to do
  }
}

function headers(extra = {}) {
  const given = key.get();
  return given ? { "X-API-Key": given, ...extra } : extra;
}

async function send(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
  let response;
  try {
    response = await fetch(`v1/${path}`, {
      method,
      signal,
      credentials: "omit",
      headers: headers({ Accept: accept, ...(body ? { "Content-Type": "application/json" } : {}) }),
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw navigator.onLine === false
      ? new Trouble(0, "You are offline", "Everything here waits until you are back.")
      : new Trouble(0, "The server does not answer", "It may be starting again. Try once more.");
  }
  if (!response.ok) throw trouble(response.status, await told(response), response.headers);
  return response;
}

async function json(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? {} : response.json();
}

const query = (given) => {
  const pairs = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
};

const part = (id) => encodeURIComponent(id);

const known = new Map();

/** An item as the page uses it; what the server leaves out is filled from what it said before. */
export function item(raw) {
  const id = String(raw.item_id);
  const before = known.get(id);
  const kept = {
    id,
    title: raw.title ?? before?.title ?? id,
    whole: "categories" in raw || (before?.whole ?? false),
    brand: raw.brand ?? before?.brand ?? null,
    categories: raw.categories ?? before?.categories ?? [],
    price: raw.price ?? before?.price ?? null,
    description: raw.description ?? before?.description ?? null,
    inStock: raw.in_stock ?? before?.inStock ?? true,
    hasImage: raw.has_image ?? before?.hasImage ?? false,
  };
  known.set(id, kept);
  return kept;
}

export const knownItem = (id) => known.get(String(id)) ?? null;

const listed = (answer) => (answer.items ?? []).map((raw) => ({ ...item(raw), score: raw.score ?? null, why: reasons(raw.why) }));

const reasons = (why) =>
  (why ?? []).map((reason) => ({
    id: String(reason.item_id),
    title: reason.title ?? knownItem(reason.item_id)?.title ?? String(reason.item_id),
    weight: Number(reason.weight) || 0,
  }));

const page = (rows, answer) => ({ rows, next: answer.next_cursor ?? null });

export const api = {
  async models(signal) {
    const answer = await json("models", { signal });
    return { open: answer.open ?? null, models: answer.models ?? [] };
  },
  async items({ q, cursor, limit = 48 } = {}, signal) {
    const answer = await json(`items${query({ q, cursor, limit })}`, { signal });
    return page(listed(answer), answer);
  },
  facets: (signal) => json(`items/facets${query({ limit: 200 })}`, { signal }),
  async item(id, signal) {
    return item(await json(`items/${part(id)}`, { signal }));
  },
  async similar(id, n, signal) {
    return listed(await json(`items/${part(id)}/similar${query({ n })}`, { signal }));
  },
  async image(id, signal) {
    return (await send(`items/${part(id)}/image`, { signal, accept: "image/*" })).blob();
  },
  async users({ q, cursor, limit = 200 } = {}, signal) {
    const answer = await json(`users${query({ q, cursor, limit })}`, { signal });
    return page((answer.users ?? []).map((user) => String(user.user_id)), answer);
  },
  async history(id, signal) {
    const answer = await json(`users/${part(id)}/history${query({ limit: 200 })}`, { signal });
    return (answer.events ?? answer.history ?? []).map((event) => {
      if (event.title) item(event);
      return { id: String(event.item_id), type: event.event_type ?? null, at: event.timestamp ?? null };
    });
  },
  async recommend(body, signal) {
    const answer = await json("recommend", { method: "POST", body, signal });
    return {
      id: answer.recommendation_id ?? null,
      version: answer.model_version ?? "",
      tookMs: answer.took_ms ?? null,
      fallback: answer.fallback ?? null,
      missing: answer.missing_ids ?? [],
      items: listed(answer),
    };
  },
  async search(body, signal) {
    const answer = await json("search", { method: "POST", body, signal });
    return { fallback: answer.fallback ?? null, items: listed(answer) };
  },
  async explain(body, signal) {
    const answer = await json("explain", { method: "POST", body, signal });
    return { why: reasons(answer.why), text: answer.text ?? "", mended: answer.mended === true && !answer.fallback, quoted: answer.quoted === true };
  },
  feedback: (event) => json("feedback", { method: "POST", body: event }),
  erase: (id) => json(`users/${part(id)}`, { method: "DELETE" }),
  exported: (id) => json(`users/${part(id)}/export`),
  summary: (signal) => json("operator/summary", { signal }),
  /** Read the server-sent events one by one; by fetch, so that the key is sent along. */
  async *events({ after, opened }, signal) {
    const response = await send(`operator/events${query({ after })}`, { signal, accept: "text/event-stream" });
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (waiting + value).split(/\r?\n\r?\n/);
      waiting = blocks.pop();
      for (const block of blocks) {
        const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        if (lines.length) yield JSON.parse(lines.map((line) => line.slice(5).trimStart()).join("\n"));
      }
    }
  },
};
