import { Dialog, ReactWidget, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IEstimate, IOffers, IQueue, Requests, Resources } from './requests';
import { bytes, duration } from './words';

/** How long the user has stopped to type before an estimate is asked for. */
const PAUSE_MS = 400;

/** A kernel that can be wrapped in a job: its name, and what people see. */
export interface IKernel {
  name: string;
  title: string;
}

/** What a form has been filled in with. */
interface IAnswers {
  title: string;
  kernel: string;
  resources: Resources;
}

interface IFormProps {
  answers: IAnswers;
  offers: IOffers | null;
  kernels: IKernel[];
  requests: Requests;
  trans: TranslationBundle;
}

/** The form of what a job asks for, and of its kernel if there are kernels to choose from. */
class JobForm extends ReactWidget implements Dialog.IBodyWidget<IAnswers> {
  constructor(private _props: IFormProps) {
    super();
    this.addClass('jp-bs-Form');
  }

  getValue(): IAnswers {
    return this._props.answers;
  }

  render(): JSX.Element {
    return <Fields {...this._props} />;
  }
}

/** Return the queue that a job goes to. */
function chosen(offers: IOffers | null, name: string | undefined): IQueue | undefined {
  return offers?.queues.find(queue => (name ? queue.name === name : queue.is_default));
}

function Fields(props: IFormProps): JSX.Element {
  const { answers, offers, kernels, requests, trans } = props;
  const [values, setValues] = React.useState<Resources>(answers.resources);
  const [title, setTitle] = React.useState(answers.title);
  const [kernel, setKernel] = React.useState(answers.kernel);
  const [estimate, setEstimate] = React.useState<IEstimate | null>(null);
  answers.resources = values;
  answers.title = title;
  answers.kernel = kernel;
  React.useEffect(() => {
    let isOld = false;
    const ask = async () => {
      const told = await requests.estimate(values).catch(() => null);
      if (!isOld) {
        setEstimate(told);
      }
    };
    const timer = window.setTimeout(() => void ask(), PAUSE_MS);
    return () => {
      isOld = true;
      window.clearTimeout(timer);
    };
  }, [values]);
  const set = (name: string, value: string) => setValues({ ...values, [name]: value });
  const queue = chosen(offers, values.queue);
  const named = offers?.queues.filter(one => one.name) ?? [];
  const most = (what: string | null) => (what ? trans.__('at most %1', what) : '');
  const number = (limit: number | null | undefined) => most(limit ? String(limit) : null);
  return (
    <>
      {kernels.length > 0 && (
        <>
          <Field name="title" label={trans.__('Name')} value={title} set={setTitle} />
          <Select
            name="kernel"
            label={trans.__('Kernel')}
            value={kernel}
            options={kernels.map(one => ({ value: one.name, title: one.title }))}
            set={setKernel}
          />
        </>
      )}
      {named.length > 0 && (
        <Select
          name="queue"
          label={trans.__('Queue')}
          value={values.queue}
          blank={trans.__('the default queue')}
          options={named.map(one => ({ value: one.name, title: queueTitle(one, trans), disabled: !one.is_open }))}
          set={value => set('queue', value)}
        />
      )}
      {offers && offers.accounts.length > 0 && (
        <Select
          name="account"
          label={trans.__('Account')}
          value={values.account}
          blank={trans.__('your default account')}
          options={offers.accounts.map(one => ({ value: one, title: one }))}
          set={value => set('account', value)}
        />
      )}
      <Field
        name="nprocs"
        label={trans.__('Cores')}
        value={values.nprocs}
        hint={number(queue?.cores)}
        number={queue?.cores}
        set={value => set('nprocs', value)}
      />
      <Field
        name="memory"
        label={trans.__('Memory')}
        value={values.memory}
        hint={most(queue?.memory ? bytes(queue.memory) : null) || trans.__('such as 4G')}
        set={value => set('memory', value)}
      />
      {queue?.gpus !== 0 && (
        <Field
          name="gpus"
          label={trans.__('GPUs')}
          value={values.gpus}
          hint={number(queue?.gpus)}
          number={queue?.gpus}
          set={value => set('gpus', value)}
        />
      )}
      <Field
        name="runtime"
        label={trans.__('Time')}
        value={values.runtime}
        hint={most(queue?.runtime ? duration(queue.runtime, trans) : null) || trans.__('such as 2:00:00')}
        set={value => set('runtime', value)}
      />
      <label className="jp-bs-Field">
        <span>{trans.__('Commands before')}</span>
        <textarea
          name="prologue"
          rows={2}
          placeholder={trans.__('such as module load cuda')}
          value={values.prologue ?? ''}
          onChange={event => set('prologue', event.target.value)}
        />
      </label>
      <p className="jp-bs-Estimate" role="status" data-answer={estimate?.answer ?? ''}>
        {estimate?.words ?? ''}
      </p>
    </>
  );
}

function queueTitle(queue: IQueue, trans: TranslationBundle): string {
  if (!queue.is_open) {
    return trans.__('%1 (closed)', queue.name);
  }
  return queue.free_cores === null
    ? queue.name
    : trans.__('%1 (%2 of %3 cores free)', queue.name, queue.free_cores, queue.all_cores ?? '?');
}

function Select(props: {
  name: string;
  label: string;
  value: string | undefined;
  blank?: string;
  options: { value: string; title: string; disabled?: boolean }[];
  set: (value: string) => void;
}): JSX.Element {
  return (
    <label className="jp-bs-Field">
      <span>{props.label}</span>
      <select name={props.name} value={props.value ?? ''} onChange={event => props.set(event.target.value)}>
        {props.blank && <option value="">{props.blank}</option>}
        {props.options.map(one => (
          <option key={one.value} value={one.value} disabled={one.disabled}>
            {one.title}
          </option>
        ))}
      </select>
    </label>
  );
}

function Field(props: {
  name: string;
  label: string;
  value: string | undefined;
  hint?: string;
  number?: number | null;
  set: (value: string) => void;
}): JSX.Element {
  const isNumber = props.number !== undefined;
  return (
    <label className="jp-bs-Field">
      <span>{props.label}</span>
      <input
        name={props.name}
        type={isNumber ? 'number' : 'text'}
        min={isNumber ? 0 : undefined}
        max={props.number ?? undefined}
        value={props.value ?? ''}
        placeholder={props.hint}
        onChange={event => props.set(event.target.value)}
      />
    </label>
  );
}

const LAST_KEY = 'batchspawner:last-resources';

/** Return what was asked for the last time, to begin with. */
function lastResources(): Resources {
  try {
    return JSON.parse(window.localStorage.getItem(LAST_KEY) ?? '{}') as Resources;
  } catch {
    return {};
  }
}

/** Show a form until what it asks for was accepted, or the user gives up; return the answer. */
async function ask<T>(
  title: string,
  button: string,
  kernels: IKernel[],
  requests: Requests,
  trans: TranslationBundle,
  send: (answers: IAnswers) => Promise<T>
): Promise<T | null> {
  const offers = await requests.offers().catch(() => null);
  const first = kernels[0];
  const answers: IAnswers = {
    title: first ? trans.__('%1 (batch job)', first.title) : '',
    kernel: first?.name ?? '',
    resources: lastResources()
  };
  for (;;) {
    const result = await showDialog({
      title,
      body: new JobForm({ answers, offers, kernels, requests, trans }),
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: button })],
      focusNodeSelector: 'input, select'
    });
    if (!result.button.accept) {
      return null;
    }
    try {
      const sent = await send(answers);
      window.localStorage.setItem(LAST_KEY, JSON.stringify(answers.resources));
      return sent;
    } catch (error) {
      await showErrorMessage(trans.__('This was refused'), error as Error);
    }
  }
}

/** Ask for a new kernel that runs in jobs; return the name of its spec. */
export function askForKernel(
  kernels: IKernel[],
  requests: Requests,
  trans: TranslationBundle
): Promise<string | null> {
  return ask(trans.__('New kernel as a job'), trans.__('Start'), kernels, requests, trans, answers =>
    requests.writeKernel(answers.title, answers.kernel, answers.resources)
  );
}

/** Ask for what a notebook needs, and submit it. */
export function askForNotebook(
  path: string,
  requests: Requests,
  trans: TranslationBundle
): Promise<{ job_id: string; result: string } | null> {
  const title = trans.__('Submit %1 as a job', path.split('/').pop() ?? path);
  return ask(title, trans.__('Submit'), [], requests, trans, answers => requests.submit(path, answers.resources));
}
