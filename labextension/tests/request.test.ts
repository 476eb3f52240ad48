import { OPTIONS } from '../src/options';
import { type Choice, choiceOf, complaint, INITIAL, isDuration, requestOf } from '../src/request';
import { trans } from './fakes';

const NOTHING = { model: 'ctpn' };

function complaints(change: Partial<Choice>): readonly string[] {
  const choice = { ...INITIAL, ...change };
  return OPTIONS.map(option => complaint(option, choice, trans)).filter(Boolean);
}

test('unchanged fields are left to the settings', () => {
  expect(requestOf({ ...INITIAL, model: 'ctpn' })).toEqual(NOTHING);
  expect(requestOf({ ...INITIAL, model: 'ctpn', gpu: '', engine: ' ', idle: '' })).toEqual(NOTHING);
});

test('the text of every field becomes a value of the request', () => {
  const texts = { ...INITIAL, model: 'ctpn', gpu: '0,1', engine: 'docker', timeout: ' 30m ' };
  const more = { serve: '127.0.0.1:0', share: 'on', keep: '2h', idle: 'never', memory: '4GiB' };
  const rest = { replicas: '2', evict: 'on', cache: 'on', env: 'A=1\n\nB==\n' };
  expect(requestOf({ ...texts, ...more, ...rest })).toEqual({
    ...{ model: 'ctpn', gpu: '0,1', engine: 'docker', timeout: '30m' },
    ...{ serve: '127.0.0.1:0', share: true, keep: '2h', idle: 'never', memory: '4GiB' },
    ...{ replicas: 2, evict: true, cache: false, env: { A: '1', B: '=' } }
  });
});

test('arguments of a command fill the fields, except values that no field can show', () => {
  const asked = {
    model: 'ctpn',
    gpu: '0',
    engine: 3,
    share: true,
    cache: true,
    keep: true,
    x: 'y'
  };
  expect(choiceOf(asked)).toEqual({ model: 'ctpn', gpu: '0', share: 'on', cache: '' });
  expect(choiceOf({ share: false, cache: false })).toEqual({ share: '', cache: 'on' });
});

test('a time is valid if Python can read it', () => {
  expect(complaints({ keep: '2h', timeout: '600', idle: 'never' })).toEqual([]);
  expect(complaints({ keep: 'forever', timeout: 'never' })).toEqual([]);
  expect(complaints({ keep: 'never', idle: 'forever' })).toEqual([
    'Keep is a time such as 90s, 10m, 2h or forever.',
    'Idle is a time such as 90s, 10m, 2h or never.'
  ]);
});

test('a number and settings are checked as well', () => {
  expect(complaints({ replicas: '2', env: 'A=\nB=1' })).toEqual([]);
  expect(complaints({ replicas: '1.5', env: 'A=1\n=2' })).toEqual([
    'Env is lines of the form NAME=VALUE.',
    'Replicas is a whole number.'
  ]);
});

test.each(['90s', '10m', '1.5d', '600', '10 m'])('%s is a duration', text => {
  expect(isDuration(text)).toBe(true);
});

test.each(['', '0', '-1', 'soon', '1w', '1e3', ' 5m', '٣m'])('%p is no duration', text => {
  expect(isDuration(text)).toBe(false);
});
