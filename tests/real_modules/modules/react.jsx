import { createContext, Suspense, use, useContext, useId, useMemo, useReducer, useState } from 'react';
import { renderToReadableStream, renderToStaticMarkup, renderToString } from 'react-dom/server';

const Theme = createContext('light');

function Row({ item }) {
  const theme = useContext(Theme);
  const id = useId();
  const [open] = useState(() => item.count > 1);
  const [state] = useReducer((old) => old + 1, item.count);
  const style = useMemo(() => ({ marginTop: item.count, backgroundColor: theme === 'dark' ? '#000' : undefined }), [theme]);
  return <li id={id} className={theme} style={style} data-open={open} aria-label={`${state}`}>
    {item.name} × {item.count} <input type="checkbox" defaultChecked={open} readOnly />
  </li>;
}

const Page = ({ items, title }) => <main>
  <title>{title}</title>
  <h1>{title}</h1>
  <Theme.Provider value="dark"><ul>{items.map((item) => <Row key={item.name} item={item} />)}</ul></Theme.Provider>
  <p dangerouslySetInnerHTML={{ __html: '<b>raw</b>' }} />
</main>;

export const html = (payload) => renderToString(<Page {...payload} />);

export const markup = (payload) => renderToStaticMarkup(<Page {...payload} />);

const Later = ({ promise }) => <p>{use(promise)}</p>;

// A stream of the document: what is known at once, and then the rest as it comes.
export async function page({ title, slow }) {
  const waits = slow.map(([text, delay]) => new Promise((resolve) => setTimeout(resolve, delay, text)));
  const stream = await renderToReadableStream(<html><body><h1>{title}</h1>
    {waits.map((promise, index) => <Suspense key={index} fallback={<i>…</i>}><Later promise={promise} /></Suspense>)}
  </body></html>);
  return stream.pipeThrough(new TextDecoderStream());
}

export async function failing(title) {
  const seen = [];
  const Broken = () => { throw new RangeError(`cannot show ${title}`); };
  try {
    await renderToReadableStream(<Broken />, { onError(error) { seen.push(String(error)); } });
  } catch (error) {
    seen.push(`again ${error}`);
  }
  return seen;
}
