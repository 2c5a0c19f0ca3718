"""The computer that the flight software runs on, as things to read: heat, clocks, power, load.

Each source is a file of this package and stands alone on the standard library. A reader returns
:class:`~flightsw.computer.reading.Reading` with a unit, or
:class:`~flightsw.computer.reading.Absent` with the reason, and never raises for what a host lacks.
``python -m flightsw.computer`` prints everything that this host tells.

None of it is read unless the flight software is told to (``flightsw --computer``): what a real host
tells differs from run to run, and runs in virtual time must not.
"""
