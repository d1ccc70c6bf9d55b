// Requests to the server. What it refuses arrives as one sentence.
const CHANGED = 409; // the file of a volume is no longer the one that is shown

async function answered(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("The server does not answer; is generatect.serve still running?");
  }
  if (response.ok) return response;
  const content = await response.json().catch(() => ({}));
  if (response.status === CHANGED) dispatchEvent(new Event("changed"));
  throw new Error(content.error ?? `The server answered ${response.status}.`);
}

export async function get(url, query = {}) {
  const text = new URLSearchParams(query).toString();
  return (await answered(text ? `${url}?${text}` : url)).json();
}

export async function bytes(url) {
  return (await answered(url)).arrayBuffer();
}

export async function post(url, content) {
  return (await answered(url, { method: "POST", body: JSON.stringify(content) })).json();
}

export async function send(url, file) {
  return (await answered(url, { method: "POST", body: file })).json();
}

export async function cancel(job) {
  return (await answered(`/api/jobs/${job.id}`, { method: "DELETE" })).json();
}
