import './index.css';
import './form.css';
