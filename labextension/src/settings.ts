import type { ISettingRegistry } from '@jupyterlab/settingregistry';

/** schema/plugin.json tells what they mean, and their defaults. */
export interface ISettings {
  readonly statusBar: boolean;
  readonly engine: string;
  readonly idle: string;
}

/** Call `take` with the user's settings, now and whenever they change; never where there is no registry. */
export async function follow(
  registry: ISettingRegistry | null,
  id: string,
  take: (settings: ISettings) => void
): Promise<void> {
  const settings = await registry?.load(id);
  if (settings) {
    const told = (): void => take(settings.composite as unknown as ISettings);
    settings.changed.connect(told);
    told();
  }
}
