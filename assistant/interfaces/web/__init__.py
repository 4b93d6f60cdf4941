"""The chat page, ``safety-assistant chat``: Gradio for the frame, own escaped HTML for what is read.

``server`` starts and ends the process, ``page`` is the Gradio frame, ``conversation`` asks, ``reading``
answers what the browser looks up, ``keeping`` changes own documents, and ``turns``, ``panel``, ``actions``,
``knowledge`` and ``documents`` write HTML with the helpers of ``markup``. ``static`` is the style and the script, which are put into the page itself.
"""
