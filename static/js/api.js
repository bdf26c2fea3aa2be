// Questions to the JSON API, and the three things a visitor may do: silence, replay, test.

export class ApiError extends Error {}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  if (response.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    throw new ApiError("signed out");
  }
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const body = isJson ? await response.json() : null;
  if (!response.ok) throw new ApiError(body?.detail ?? body?.title ?? `the service answered ${response.status}`);
  return body;
}

export function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return ask(query.size ? `${path}?${query}` : path);
}

/** The header is one that a page of another site cannot send. */
function write(method, path, body) {
  const headers = { "X-Requested-With": "regimes" };
  if (body === undefined) return ask(path, { method, headers });
  return ask(path, { method, headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export const post = (path, body) => write("POST", path, body);
export const remove = (path) => write("DELETE", path);
