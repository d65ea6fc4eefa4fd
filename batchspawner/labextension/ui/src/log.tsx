import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { JobsModel } from './model';
import type { ILogPart, Requests } from './requests';
import { stateWord } from './words';

const POLL_MS = 2000;

/** Characters that are shown; what was printed before is dropped. */
const MAX_CHARACTERS = 1000000;

/** What a job has printed, followed until it ends. */
export class LogView extends ReactWidget {
  constructor(
    private _id: string,
    private _model: JobsModel,
    private _requests: Requests,
    private _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-bs-Log');
  }

  render(): JSX.Element {
    const { _id: id, _model: model, _requests: requests, _trans: trans } = this;
    return <Log id={id} model={model} requests={requests} trans={trans} isShown={() => this.isVisible} />;
  }
}

interface IProps {
  id: string;
  model: JobsModel;
  requests: Requests;
  trans: TranslationBundle;
  isShown: () => boolean;
}

function Log(props: IProps): JSX.Element {
  const { id, model, requests, trans, isShown } = props;
  const [text, setText] = React.useState('');
  const [files, setFiles] = React.useState<string[]>([]);
  const [file, setFile] = React.useState('');
  const [follow, setFollow] = React.useState(true);
  const [trouble, setTrouble] = React.useState('');
  const [words, setWords] = React.useState('');
  const bottom = React.useRef<HTMLDivElement>(null);

  React.useEffect(() => {
    let offset: number | null = null;
    let timer = 0;
    let isGone = false;
    const take = (part: ILogPart) => {
      const fresh = offset === null;
      offset = part.offset;
      setFiles(part.files);
      setTrouble('');
      if (fresh) {
        setText((part.is_cut ? '…\n' : '') + part.text);
      } else if (part.text) {
        setText(before => (before + part.text).slice(-MAX_CHARACTERS));
      }
    };
    const poll = async () => {
      const row = model.row(id);
      setWords(row ? stateWord(row, trans) : '');
      if (isShown() || offset === null) {
        try {
          const part = await requests.log(id, file, offset);
          if (!isGone) {
            take(part);
          }
        } catch (error) {
          setTrouble((error as Error).message);
        }
      }
      if (!isGone && !row?.ended) {
        timer = window.setTimeout(() => void poll(), POLL_MS);
      }
    };
    void poll();
    return () => {
      isGone = true;
      window.clearTimeout(timer);
    };
  }, [id, file]);

  React.useEffect(() => {
    if (follow) {
      bottom.current?.scrollIntoView({ block: 'end' });
    }
  }, [text, follow]);

  return (
    <>
      <div className="jp-bs-Log-head">
        {files.length > 1 && (
          <select aria-label={trans.__('File')} value={file || files[0]} onChange={event => setFile(event.target.value)}>
            {files.map(name => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
        <label>
          <input type="checkbox" checked={follow} onChange={event => setFollow(event.target.checked)} />
          {trans.__('Follow')}
        </label>
        <span>{words}</span>
        {trouble && <span role="alert">{trouble}</span>}
      </div>
      <pre tabIndex={0} aria-label={trans.__('Log')}>
        {text || trans.__('Nothing has been printed yet.')}
        <div ref={bottom} />
      </pre>
    </>
  );
}
