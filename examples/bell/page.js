import { connect } from 'http://127.0.0.1:8080/client.js';

/** How many notifications the page has, the newest: those before them count as read. */
const KEPT_MESSAGES = 50;

const tidings = connect('http://127.0.0.1:8080');
tidings.on('status', (status) => {
  const shown = document.getElementById('status');
  shown.textContent = shown.dataset.status = status;
});

/** A user's bell. Which notification was read last is kept in the browser, by its id. */
class Bell {
  #topic;
  #key;
  #messages = [];
  #card = document.getElementById('user').content.cloneNode(true).firstElementChild;

  constructor(id, name) {
    this.#topic = `notifications.${id}`;
    this.#key = `read:${this.#topic}`;
    this.#card.id = id;
    this.#part('h2').textContent = name;
    this.#part('input').placeholder = `Tell ${name} something`;
    this.#part('input').setAttribute('aria-label', `Tell ${name} something`);
    this.#part('.read').addEventListener('click', () => this.#markRead());
    this.#part('form').addEventListener('submit', (event) => void this.#notify(event));
    // Read in another tab.
    addEventListener('storage', ({ key }) => key === this.#key && this.#show());
    const subscription = tidings.subscribe(this.#topic, { last: KEPT_MESSAGES });
    subscription.on('any', (message) => {
      this.#messages.push(message);
      if (this.#messages.length > KEPT_MESSAGES) this.#messages.shift();
      this.#show();
    });
    subscription.on('erased', ({ id: erased }) => {
      this.#messages = this.#messages.filter((message) => message.id !== erased);
      this.#show();
    });
  }

  get card() {
    return this.#card;
  }

  #part(selector) {
    return this.#card.querySelector(selector);
  }

  #markRead() {
    localStorage.setItem(this.#key, this.#messages.at(-1).id);
    this.#show();
  }

  async #notify(event) {
    event.preventDefault();
    const form = event.target;
    const { text } = Object.fromEntries(new FormData(form));
    form.reset();
    await tidings.publish(this.#topic, text);
  }

  #show() {
    const read = localStorage.getItem(this.#key);
    // -1 where none was read, or the one that was read last is too old to be here: then all are unread.
    const unread = this.#messages.length - 1 - this.#messages.findIndex(({ id }) => id === read);
    this.#part('ol').replaceChildren(...this.#messages.map(({ time, data }, index) => {
      const item = document.createElement('li');
      item.classList.toggle('unread', index >= this.#messages.length - unread);
      const when = Object.assign(document.createElement('time'), { dateTime: time, className: 'quiet', textContent: new Date(time).toLocaleTimeString([], { timeStyle: 'short' }) });
      // Text, never markup: it comes from others.
      item.append(Object.assign(document.createElement('span'), { textContent: typeof data === 'string' ? data : JSON.stringify(data) }), when);
      return item;
    }).reverse());
    this.#part('.none').hidden = this.#messages.length > 0;
    this.#part('.read').disabled = unread === 0;
    const count = this.#part('.count');
    count.hidden = unread === 0;
    count.textContent = unread < KEPT_MESSAGES ? String(unread) : `${KEPT_MESSAGES}+`;
    count.setAttribute('aria-label', `${unread} unread`);
  }
}

document.getElementById('users').append(...[['ana', 'Ana'], ['ben', 'Ben']].map(([id, name]) => new Bell(id, name).card));
