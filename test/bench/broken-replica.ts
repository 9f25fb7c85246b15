/** A measured replica that fails when it is given anything to do. A child of `falling-behind.test.ts`. */
import { Child } from '../../bench/consensus/child.ts';

const child = new Child();
child.listen({
  slotsPassedOver: () => 0,
  onOrder: () => {
    throw new Error('it met a full disk');
  },
});
child.report({ kind: 'ready' });
