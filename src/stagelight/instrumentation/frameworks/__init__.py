"""Frameworks that people build pipelines with, observed without a change to them.

One file for each framework, loaded when the program imports that framework. To add
one:

1. Give it a row in ``_catalog``: its distribution, the versions it was tried with, the
   modules to wait for, and what is recorded of it (the README's table is made of that).
2. Write ``<name>.py`` with ``HOOKS``: module name -> function, which gets the module
   and a ``Patches``. It wraps *methods* where it can (``from x import f`` freezes
   functions) by ``patches.around(owner, name, observe)``. ``observe(instance, args,
   kwargs)`` looks and returns a ``Call``, or None where nothing is to be recorded; it
   never calls the wrapped function. What raises in it is counted, and the framework
   goes on.
3. ``step(name, ...)`` (``_steps``) gives the stage of that name, ``Call(step, event)``
   (``_calls``) runs the wrapped function as a call of it. Inside another observed call
   it nests by itself. Where it comes from another thread, process or broker, it is told
   by a ``Delivery`` (``_delivery``): its journey, and the queue it waited in.
4. Where the framework may be traced by somebody else, define ``stands_aside(module)``
   with the reason, or None.
5. Tests: ``tests/frameworks/test_<name>.py``, with the real package.

What is half patched when a hook raises is undone; no other framework hears of it.
"""
