import { Failure, skill } from '@skillhost/sdk';

export const { tools, undo } = skill({
  greet: {
    description: 'Greets somebody by name.',
    readOnly: true,
    idempotent: true,
    openWorld: false,
    input: {
      type: 'object',
      properties: { name: { type: 'string', description: 'Whom to greet.' } },
      required: ['name'],
      additionalProperties: false,
    },
    run({ name }) {
      if (!name.trim()) throw Failure.invalidInput('the name must not be blank');
      return `Hello, ${name}!`;
    },
  },
});
