import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** A queue of the scheduler; null for what is not known or not limited. */
export interface IQueue {
  name: string;
  is_default: boolean;
  is_open: boolean;
  runtime: number | null;
  cores: number | null;
  memory: number | null;
  gpus: number | null;
  free_cores: number | null;
  all_cores: number | null;
}

/** What the scheduler offers. */
export interface IOffers {
  scheduler: string;
  title: string;
  queues: IQueue[];
  accounts: string[];
}

/** Whether a job could start now. */
export interface IEstimate {
  answer: 'free' | 'busy' | 'impossible' | 'unknown';
  words: string;
}

/** A part of what a job has printed. */
export interface ILogPart {
  text: string;
  file: string;
  files: string[];
  offset: number;
  is_cut: boolean;
}

/** What a job asks for. */
export type Resources = Record<string, string>;

/** The REST interface of our server extension. */
export class Requests {
  /** `language` is that of the answers' texts, such as `de-DE`. */
  constructor(
    private _settings: ServerConnection.ISettings,
    private _language: string
  ) {}

  cancel(id: string): Promise<unknown> {
    return this._ask(`jobs/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  log(id: string, file: string, offset: number | null): Promise<ILogPart> {
    const query = new URLSearchParams({ file });
    if (offset !== null) {
      query.set('offset', String(offset));
    }
    return this._ask(`jobs/${encodeURIComponent(id)}/log?${query}`);
  }

  offers(): Promise<IOffers> {
    return this._ask('queues');
  }

  estimate(resources: Resources): Promise<IEstimate> {
    return this._ask(`estimate?${new URLSearchParams(resources)}`);
  }

  /** Write a kernel spec, and return its name. */
  async writeKernel(name: string, kernel: string, resources: Resources): Promise<string> {
    const body = JSON.stringify({ display_name: name, kernel, resources });
    return (await this._ask<{ name: string }>('kernels', { method: 'POST', body })).name;
  }

  /** Submit a notebook; return the job's id, and the path of its result. */
  submit(path: string, resources: Resources): Promise<{ job_id: string; result: string }> {
    const body = JSON.stringify({ path, resources });
    return this._ask('jobs', { method: 'POST', body });
  }

  private async _ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    const url = URLExt.join(this._settings.baseUrl, 'batchspawner', path);
    const headers = { 'Accept-Language': this._language };
    const answer = await ServerConnection.makeRequest(url, { ...init, headers }, this._settings);
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new Error(told.message || answer.statusText);
    }
    return told as T;
  }
}
