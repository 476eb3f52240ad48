import { configure } from '@testing-library/dom';

// Elements appear at once, except on a busy machine.
configure({ asyncUtilTimeout: 10000 });
