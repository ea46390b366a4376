// As much of XMLHttpRequest as the official client's long-polling wants, over Node's fetch.

const COMPLETE = 4;

export class XmlHttpRequest {
  readyState = 0;
  responseText = "";
  timeout = 0;
  #method;
  #url;
  #headers = {};
  #abort = new AbortController();

  open(method, url) {
    this.#method = method;
    this.#url = url;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  abort() {
    this.#abort.abort("abort");
  }

  async send(body) {
    const timer = this.timeout > 0 ? setTimeout(() => this.#abort.abort("timeout"), this.timeout) : undefined;
    const { signal } = this.#abort;
    try {
      const response = await fetch(this.#url, { method: this.#method, headers: this.#headers, body, signal });
      this.responseText = await response.text();
    } catch {
      if (signal.reason === "timeout") this.ontimeout?.();
      else if (!signal.aborted) this.onerror?.();
      return;
    } finally {
      clearTimeout(timer);
    }
    this.readyState = COMPLETE;
    this.onreadystatechange?.();
  }
}
